// hello is what a static Go program in an image without anything else is: a server that needs no
// file of a system. It answers with its ids, the pod's name and the addresses of localhost.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		host, _ := os.Hostname()
		addresses, err := net.LookupHost("localhost")
		fmt.Fprintln(w, os.Getuid(), os.Getgid(), host, addresses, err)
	})
	log.Println("listens")
	log.Fatal(http.ListenAndServe(":8080", nil))
}
