module example.invalid/test/fuzz/tar

go 1.26.0
