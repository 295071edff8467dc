module example.invalid/test/images

go 1.26.0
