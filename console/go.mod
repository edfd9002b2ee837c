module github.com/parley-go/parley/console

go 1.26.0

require (
	github.com/parley-go/parley v0.0.0
	go.uber.org/goleak v1.3.0
	golang.org/x/net v0.61.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/parley-go/parley => ..
