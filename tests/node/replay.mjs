// Replays samples.json of bundles in Node.js: node replay.mjs BUNDLE [BUNDLE …]
// The bounds are those of recsys/bundle/agreement.py.

import { readFile } from "node:fs/promises";
import path from "node:path";
import ort from "onnxruntime-node";

const scoreBound = (score) => Math.max(1e-4, 1e-6 * Math.abs(score));
const orderBound = (score) => Math.max(1e-5, 1e-6 * Math.abs(score));

class Disagreement extends Error {}

// JSON has no NaN: null stands for it.
const numbers = (values) => Float32Array.from(values.flat(Infinity), (value) => value ?? NaN);

const convert = {
  string: (values) => values.flat(Infinity),
  float32: numbers,
  int64: (values) => BigInt64Array.from(values.flat(Infinity), BigInt),
};

// The inputs of a sample as tensors, in the types and dimensions that the manifest declares.
function feedsOf(inputs, sample, batch) {
  const tensor = ({ name, type, dims }) => {
    const values = convert[type]([sample[name]]);
    // A list of allowed items may stand for all users.
    const rows = { batch, allowed_lists: sample.allowed?.length };
    const known = dims.map((size) => rows[size] ?? size);
    const fixed = known.filter(Number.isInteger).reduce((product, size) => product * size, 1);
    const shape = known.map((size) => (Number.isInteger(size) ? size : values.length / fixed));
    return new ort.Tensor(type, values, shape);
  };
  return Object.fromEntries(inputs.map((input) => [input.name, tensor(input)]));
}

// A forecast may differ by a ten-thousandth of itself, or of the mean |y| where that is larger.
function compareForecast(sample, forecast) {
  const wanted = numbers(sample.forecast);
  const width = wanted.length / sample.history.length;
  if (forecast.length !== wanted.length) {
    throw new Disagreement(`it forecasts ${forecast.length} numbers, not ${wanted.length}`);
  }
  let largest = 0;
  sample.history.forEach((history, row) => {
    const known = history.filter((y) => y !== null);
    const mean = known.reduce((sum, y) => sum + Math.abs(y), 0) / Math.max(known.length, 1);
    for (let place = row * width; place < (row + 1) * width; place += 1) {
      const scale = Math.max(mean, 1e-2, Math.abs(wanted[place]));
      const difference = Math.abs(wanted[place] - forecast[place]) / scale;
      if (!(difference <= 1e-4)) {
        throw new Disagreement(`row ${row} forecasts ${forecast[place]}, not ${wanted[place]}`);
      }
      largest = Math.max(largest, difference);
    }
  });
  return largest;
}

async function replayForecast(session, inputs, sample) {
  const { forecast } = await session.run(feedsOf(inputs, sample, sample.series_id.length));
  return compareForecast(sample, forecast.data);
}

async function answer(session, inputs, sample) {
  const { item_id, score, answered_from } = await session.run(feedsOf(inputs, sample, sample.user_id.length));
  if (sample.answered_from && String(answered_from.data) !== String(sample.answered_from)) {
    throw new Disagreement(`the answers come from ${answered_from.data}, not from ${sample.answered_from}`);
  }
  const [rows, width] = item_id.dims;
  const cut = (values) =>
    Array.from({ length: rows }, (_, row) => Array.from(values.slice(row * width, (row + 1) * width)));
  return { items: cut(item_id.data), scores: cut(score.data) };
}

// How far the two items at one place are apart, within one answer if one holds both.
function distance(want, got, place) {
  const inWant = want.items.indexOf(got.items[place]);
  if (inWant >= 0) return Math.abs(want.scores[inWant] - want.scores[place]);
  const inGot = got.items.indexOf(want.items[place]);
  if (inGot >= 0) return Math.abs(got.scores[inGot] - got.scores[place]);
  return Math.abs(want.scores[place] - got.scores[place]);
}

function compareRow(row, want, got) {
  if (want.items.length !== got.items.length) {
    throw new Disagreement(`row ${row} holds ${got.items.length} items, not ${want.items.length}`);
  }
  let largest = 0;
  want.items.forEach((item, place) => {
    const where = `row ${row}, place ${place}`;
    const wanted = want.scores[place];
    const score = got.scores[place];
    if (wanted === -Infinity || score === -Infinity) {
      if (wanted !== score || got.items[place] !== "") {
        throw new Disagreement(`${where} is '${got.items[place]}' with the score ${score}, not ${wanted}`);
      }
      return;
    }
    const difference = Math.abs(wanted - score);
    // Written so that NaN fails.
    if (!(difference <= scoreBound(wanted))) {
      throw new Disagreement(`${where} has the score ${score}, not ${wanted}`);
    }
    if (item !== got.items[place] && !(distance(want, got, place) < orderBound(wanted))) {
      throw new Disagreement(`${where} is '${got.items[place]}', not '${item}'`);
    }
    largest = Math.max(largest, difference);
  });
  return largest;
}

async function replayRanking(session, inputs, sample) {
  const got = await answer(session, inputs, sample);
  return Math.max(
    0,
    ...sample.item_id.map((items, row) => {
      // JSON has no infinity: null stands for the score of an empty place.
      const scores = sample.score[row].map((score) => score ?? -Infinity);
      return compareRow(row, { items, scores }, { items: got.items[row], scores: got.scores[row] });
    }),
  );
}

// What each purchase adds to a score, and the rest; null stands for -infinity.
async function replayReasons(session, inputs, sample) {
  const { contribution, rest } = await session.run(feedsOf(inputs, sample, sample.item_id.length));
  const wanted = [...sample.contribution.flat(Infinity), ...sample.rest.flat()];
  const got = [...contribution.data, ...rest.data];
  if (got.length !== wanted.length) {
    throw new Disagreement(`it gives ${got.length} numbers, not ${wanted.length}`);
  }
  let largest = 0;
  wanted.forEach((value, place) => {
    if (value === null && got[place] === -Infinity) return;
    const difference = Math.abs(value - got[place]);
    // Written so that NaN fails.
    if (value === null || !(difference <= scoreBound(value))) {
      throw new Disagreement(`number ${place} is ${got[place]}, not ${value}`);
    }
    largest = Math.max(largest, difference);
  });
  return largest;
}

async function replay(bundle) {
  const samples = JSON.parse(await readFile(path.join(bundle, "samples.json"), "utf8"));
  const { inputs, because } = JSON.parse(await readFile(path.join(bundle, "manifest.json"), "utf8"));
  const { cases } = samples;
  const session = await ort.InferenceSession.create(path.join(bundle, "model.onnx"));
  let largest = 0;
  for (const sample of cases) {
    const replaySample = sample.series_id ? replayForecast : replayRanking;
    try {
      largest = Math.max(largest, await replaySample(session, inputs, sample));
    } catch (error) {
      if (!(error instanceof Disagreement)) throw error;
      throw new Disagreement(`${bundle} disagrees with its sample '${sample.name}': ${error.message}`);
    }
  }
  if (because) {
    const reasons = await ort.InferenceSession.create(path.join(bundle, "because.onnx"));
    for (const sample of samples.because) {
      try {
        largest = Math.max(largest, await replayReasons(reasons, because.inputs, sample));
      } catch (error) {
        if (!(error instanceof Disagreement)) throw error;
        throw new Disagreement(`${bundle} disagrees with its reasons of '${sample.name}': ${error.message}`);
      }
      cases.push(sample);
    }
  }
  console.log(`${bundle}: ok (${cases.length} samples, largest difference ${largest.toPrecision(1)})`);
}

const bundles = process.argv.slice(2);
if (bundles.length === 0) {
  console.error("usage: node replay.mjs BUNDLE [BUNDLE …]");
  process.exitCode = 2;
}
for (const bundle of bundles) {
  try {
    await replay(bundle);
  } catch (error) {
    console.error(error instanceof Disagreement ? error.message : `${bundle} cannot be replayed: ${error.message}`);
    process.exitCode = 1;
  }
}
