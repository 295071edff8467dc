module example.invalid/test/images/hello

go 1.26.0
