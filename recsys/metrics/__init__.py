"""Metrics: one pure, vectorised function a file, with its title, direction and meaning.

To add a metric, add a file to `ranking/` or `forecast/` whose function has the decorator
`recsys.metrics.registry.metric`; it is found by itself, computed, and known to reports. The family
says what the function takes and returns:

    ranking    (hits bool (B, K), num_truth int64 (B,), k) -> float64 (B,), a value a user
    lists      (Lists, k) -> float64 (B,), a value a user, NaN where undefined
    catalogue  (Exposure) -> float, of the lists of all users together
    forecast   (Errors) -> float64 of their shape; errors are summed over all series
    series     (Errors) -> the same, computed for each series and averaged over series
    scaled     (Errors, Scale) -> as `series`, for series that have a scale
    weighted   (Errors, Scale) -> as `scaled`, averaged with the recent sales as weights
    interval   (Errors) -> (…, I), a value for each central interval between two quantiles

Conventions of ranking metrics (ties, users without truth, short lists) stand in
`recsys.metrics.ranking`, those of forecast metrics (missing values, zero denominators) in
`recsys.metrics.forecast`. Accumulators sum over blocks and processes.
"""
