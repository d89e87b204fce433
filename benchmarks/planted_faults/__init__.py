"""Plants faults in a good archive, one a run, and shows what caught each: nothing false may be published.

    python -m benchmarks.planted_faults FOLDER [NAME...]

The good archive is made of one walk of trades for each symbol, so that its candles of one and of five minutes, its
trades, snapshots and Kraken candles agree to the last digit; its second day is a day of a clock change. It is run once
(`loaders run`: check, load, build, validate, publish), and must pass without a word. Then each fault is planted in a
copy of it and run. A fault in a file meets an empty warehouse, one behind the loaders' back a copy of the good one;
beside both lies the file that was published of the good archive. Faults in files are for the night that lands them to
catch; what is altered behind the loaders' back lands with nothing, and is for the weekly `loaders run --full`: the
table says which.

Right is a run that published nothing and left that file as it was, or one whose published rows are each either equal to
those of the good archive, or told: a missing row by `data_gaps`, `data_completeness` or the check of refused files,
another value by a check of its symbol that does not pass and names the day. Prints one row for each fault; exit status
1 if one slipped through, and then its folder stays in FOLDER/slipped.
"""
