// probed answers kubelet's probes, of each kind, as a test tells it to. It has three states:
// started and ready are false at first, alive is true.
//
//	GET :8080/set/STATE/BOOL             changes a state
//	GET :8080/STATE                      200 or 503                        (httpGet)
//	:9001 started, :9002 ready, :9003 alive: listens while the state is true (tcpSocket)
//	:9090 grpc.health.v1 with the states as services                        (grpc)
//	probed check STATE                   exits with 0 or 1                  (exec)
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
)

var ports = map[string]int{"started": 9001, "ready": 9002, "alive": 9003}

type server struct {
	mutex     sync.Mutex
	listeners map[string]net.Listener // of the states that are true
}

func (s *server) get(state string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.listeners[state] != nil
}

func (s *server) set(state string, value bool) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	port, known := ports[state]
	if !known {
		return fmt.Errorf("unknown state %q", state)
	}
	listener := s.listeners[state]
	if value == (listener != nil) {
		return nil
	}
	if !value {
		delete(s.listeners, state)
		return listener.Close()
	}
	listener, err := net.Listen("tcp", fmt.Sprint(":", port))
	if err != nil {
		return err
	}
	s.listeners[state] = listener
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // closed by set
			}
			connection.Close()
		}
	}()
	return nil
}

func (s *server) handleSet(w http.ResponseWriter, r *http.Request) {
	value, err := strconv.ParseBool(r.PathValue("value"))
	if err == nil {
		err = s.set(r.PathValue("state"), value)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (s *server) handleGet(w http.ResponseWriter, r *http.Request) {
	if !s.get(r.PathValue("state")) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// handleHealth answers grpc.health.v1.Health/Check. The request's only field is the service, a
// short string: tag, length, bytes. The answer's only field is 1 (SERVING) or 2 (NOT_SERVING). Each
// message has one byte for its compression and four for its length in front.
func (s *server) handleHealth(w http.ResponseWriter, r *http.Request) {
	request, err := io.ReadAll(io.LimitReader(r.Body, 1024))
	if err != nil || len(request) < 7 {
		http.Error(w, "not a request for a service", http.StatusBadRequest)
		return
	}
	status := byte(2)
	if s.get(string(request[7:])) {
		status = 1
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.Write([]byte{0, 0, 0, 0, 2, 0x08, status})
	w.Header().Set("Grpc-Status", "0")
}

func check(state string) int {
	answer, err := http.Get("http://127.0.0.1:8080/" + state)
	if err != nil || answer.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "check" {
		os.Exit(check(os.Args[2]))
	}
	s := &server{listeners: map[string]net.Listener{}}
	if err := s.set("alive", true); err != nil {
		log.Fatal(err)
	}
	states := http.NewServeMux()
	states.HandleFunc("GET /set/{state}/{value}", s.handleSet)
	states.HandleFunc("GET /{state}", s.handleGet)
	health := http.NewServeMux()
	health.HandleFunc("POST /grpc.health.v1.Health/Check", s.handleHealth)
	grpc := &http.Server{Addr: ":9090", Handler: health, Protocols: new(http.Protocols)}
	grpc.Protocols.SetUnencryptedHTTP2(true)
	go func() { log.Fatal(grpc.ListenAndServe()) }()
	log.Println("listens")
	log.Fatal(http.ListenAndServe(":8080", states))
}
