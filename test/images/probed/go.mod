module example.invalid/test/images/probed

go 1.26.0
