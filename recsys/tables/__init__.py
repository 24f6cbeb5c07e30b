"""How tables are read and written: one reader for training and for batch files, with numpy and
pyarrow alone.
"""
