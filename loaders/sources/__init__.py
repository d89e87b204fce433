"""Where history comes from: the archive's files over HTTP, and the exchanges' REST interfaces.

    http           one server: attempts, pauses, bans, what an answer's status means
    budgets        how much may be asked of a server, by what its answers say
    listing        what lies in the archive: pages of its S3 listing, followed to the end
    binance_files  how the archive names the files of a series
    download       files onto the disk: .part, checksum, sync, rename; several at once
    pages          rows of REST answers as files of their own below `rest/`
    binance_rest   candles, open interest and funding of USD-M
    kraken_rest    the newest candles of a pair
    spans          ranges of time: union, difference
    choice         which part of a range comes from disk, archive, REST, and what nobody serves

Everything here writes files and never opens the warehouse.
"""
