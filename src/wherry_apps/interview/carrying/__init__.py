"""Tables of older programs, brought over: in place, in one transaction, with nothing thrown away.

act.py      the tables are moved aside, new ones made, rows carried over, counts compared
rows.py     what becomes of the rows of each table
values.py   one value, as the new column takes it

A value that the new table cannot hold, or a row that belongs to nothing, goes to the table `set_aside` with its
reason and is named in the report.
"""
