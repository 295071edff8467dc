// Command streaming_client runs Kubernetes' own clients (client-go's remotecommand and portforward)
// against the streaming server over its fake runtime: every protocol version, both transports.
//
//	streaming_client build/dev/test/streaming_serve
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
)

var (
	serverIn  io.Writer
	serverOut *bufio.Reader
	failures  int
)

// ask sends one line to streaming_serve and returns its answer.
func ask(line string) string {
	fmt.Fprintln(serverIn, line)
	answer, err := serverOut.ReadString('\n')
	must(err)
	return strings.TrimSpace(answer)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(name string, ok bool, seen ...any) {
	if ok {
		fmt.Println("ok  ", name)
		return
	}
	failures++
	fmt.Println("FAIL", name, fmt.Sprint(seen...))
}

// executor speaks WebSocket ("ws"), SPDY with all versions ("spdy"), or SPDY with one version.
func executor(protocol, rawURL string) remotecommand.Executor {
	target, err := url.Parse(rawURL)
	must(err)
	config := &rest.Config{Host: target.Host}
	var made remotecommand.Executor
	switch protocol {
	case "ws":
		made, err = remotecommand.NewWebSocketExecutor(config, "GET", rawURL)
	case "spdy":
		made, err = remotecommand.NewSPDYExecutor(config, "POST", target)
	default:
		transport, upgrader, e := spdy.RoundTripperFor(config)
		must(e)
		made, err = remotecommand.NewSPDYExecutorForProtocols(
			transport, upgrader, "POST", target, protocol)
	}
	must(err)
	return made
}

type oneSize chan remotecommand.TerminalSize

func (s oneSize) Next() *remotecommand.TerminalSize {
	size, ok := <-s
	if !ok {
		return nil
	}
	return &size
}

type result struct {
	out, err string
	code     int
	failure  error
	took     time.Duration
}

func run(protocol, request string, stdin io.Reader, tty bool) result {
	var out, errOut bytes.Buffer
	options := remotecommand.StreamOptions{Stdin: stdin, Stdout: &out, Tty: tty}
	if tty {
		size := make(oneSize, 1)
		size <- remotecommand.TerminalSize{Width: 123, Height: 45}
		options.TerminalSizeQueue = size
	} else {
		options.Stderr = &errOut
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	start := time.Now()
	failure := executor(protocol, ask(request)).StreamWithContext(ctx, options)
	r := result{out: out.String(), err: errOut.String(), failure: failure, took: time.Since(start)}
	var exit utilexec.CodeExitError
	if errors.As(failure, &exit) {
		r.code, r.failure = exit.Code, nil
	}
	return r
}

func remoteCommands(p string) {
	hasCodes := !strings.HasPrefix(p, "v3") && !strings.HasPrefix(p, "v2") && p != "channel.k8s.io"
	endsInput := p != "channel.k8s.io"
	hasResize := endsInput && !strings.HasPrefix(p, "v2")

	r := run(p, "exec 0110 echo out; echo err >&2", nil, false)
	check(p+" output", r.out == "out\n" && r.err == "err\n" && r.failure == nil, r)
	r = run(p, "exec 0110 exit 7", nil, false)
	if hasCodes {
		check(p+" exit code", r.code == 7 && r.failure == nil, r)
	} else if endsInput { // v1 clients race their own error stream
		check(p+" exit text", r.failure != nil && strings.Contains(r.failure.Error(), "exit status 7"), r)
	}
	r = run(p, "exec 0110 head -c 100000000 /dev/zero", nil, false)
	check(p+" 100 MB out", len(r.out) == 100000000 && r.failure == nil, len(r.out), r.failure)
	open, hold := io.Pipe()
	r = run(p, "exec 1110 echo done", open, false)
	check(p+" ends before its input", r.out == "done\n" && r.failure == nil, r)
	r = run(p, "exec 0110 (sleep 3; echo late) & echo early", nil, false)
	check(p+" background child", r.out == "early\n" && r.took < 2*time.Second, r)
	if endsInput {
		input := strings.Repeat("0123456789", 1000000)
		r = run(p, "exec 1110 cat", strings.NewReader(input), false)
		check(p+" 10 MB through cat", r.out == input && r.failure == nil, len(r.out), r.failure)
		r = run(p, "attach 1110 read x; echo got $x; exit 9", strings.NewReader("hello\n"), false)
		check(p+" attach", r.out == "got hello\n" && r.code == 0 && r.failure == nil, r)
	}
	if hasResize {
		script := `while [ "$(stty size)" = "0 0" ]; do sleep 0.01; done; stty size; exit 3`
		r = run(p, "exec 1101 "+script, open, true)
		check(p+" terminal", r.out == "45 123\r\n" && (r.code == 3 || !hasCodes), r)
	}
	hold.Close()
}

func cancelled(p string) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	var out bytes.Buffer
	executor(p, ask("exec 0110 sleep 100")).StreamWithContext(ctx,
		remotecommand.StreamOptions{Stdout: &out, Stderr: &out})
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) && strings.Fields(ask("stat"))[1] != "0" {
		time.Sleep(10 * time.Millisecond)
	}
	check(p+" cancel kills", strings.Fields(ask("stat"))[1] == "0", ask("stat"))
}

func dialer(p string, target *url.URL) httpstream.Dialer {
	config := &rest.Config{Host: target.Host}
	if p == "ws" {
		tunnel, err := portforward.NewSPDYOverWebsocketDialer(target, config)
		must(err)
		return tunnel
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	must(err)
	return spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", target)
}

func forwards(p string, port int) {
	target, err := url.Parse(ask("portforward"))
	must(err)
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.New(dialer(p, target), []string{fmt.Sprintf("0:%d", port)},
		stop, ready, io.Discard, io.Discard)
	must(err)
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		check(p+" port-forward", false, err)
		return
	}
	ports, err := forwarder.GetPorts()
	must(err)
	var good atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Add(1)
		go func() {
			defer all.Done()
			client := &http.Client{
				Transport: &http.Transport{DisableKeepAlives: true},
				Timeout:   30 * time.Second,
			}
			answer, err := client.Post(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local),
				"text/plain", strings.NewReader(strings.Repeat("x", 300000)))
			if err != nil {
				return
			}
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if len(body) == 1000007 && strings.HasPrefix(string(body), "300000 ") {
				good.Add(1)
			}
		}()
	}
	all.Wait()
	check(p+" port-forward, 50 at once", good.Load() == 50, good.Load())
	close(stop)
	<-ended
}

func main() {
	server := exec.Command(os.Args[1])
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	must(err)
	out, err := server.StdoutPipe()
	must(err)
	must(server.Start())
	serverIn, serverOut = in, bufio.NewReader(out)

	for _, p := range []string{"spdy", "ws", "v5.channel.k8s.io", "v4.channel.k8s.io",
		"v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"} {
		remoteCommands(p)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %s", len(body), strings.Repeat("y", 1000000))
	}))
	for _, p := range []string{"spdy", "ws"} {
		cancelled(p)
		forwards(p, listener.Addr().(*net.TCPAddr).Port)
	}
	in.Close()
	check("server stops", server.Wait() == nil)
	if failures > 0 {
		os.Exit(1)
	}
}
