// Command images builds the images of the tests and of deploy/quickstart out of staged trees
// (see ./build) into one OCI layout, and pushes that layout to a registry.
//
//	images build -stage DIR -layout DIR [-demo]
//	images push -layout DIR -registry HOST:PORT
//	images list -layout DIR
//
// The bytes depend on the trees, SOURCE_DATE_EPOCH and the compressors only.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) < 2 {
		fatal(fmt.Errorf("images: say build, push or list"))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	layout := flags.String("layout", "", "directory of the OCI layout")
	stage := flags.String("stage", "", "directory of the staged trees")
	registry := flags.String("registry", "", "HOST:PORT to push to, plain http")
	demo := flags.Bool("demo", false, "only the images of deploy/quickstart")
	flags.Parse(os.Args[2:])
	var err error
	switch os.Args[1] {
	case "build":
		err = build(*layout, *stage, *demo)
	case "push":
		err = push(*layout, *registry)
	case "list":
		err = list(*layout)
	default:
		err = fmt.Errorf("images: unknown command %s", os.Args[1])
	}
	if err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func list(layout string) error {
	index, err := readIndex(layout)
	if err != nil {
		return err
	}
	for _, d := range index.Manifests {
		fmt.Println(d.Annotations[refName], d.Digest)
	}
	return nil
}

func readIndex(layout string) (manifestList, error) {
	var index manifestList
	data, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err != nil {
		return index, err
	}
	return index, json.Unmarshal(data, &index)
}
