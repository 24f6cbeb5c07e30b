"""Trains a model and prints the run folder on its last line.

python scripts/train.py [experiment=NAME] [data=… model=… loss=… evaluation=… key=value …]
"""

from recsys.tasks.lifecycle import main

if __name__ == "__main__":
    main()
