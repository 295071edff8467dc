package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// How an image is offered: the formats of real registries.
type form int

const (
	ociSingle  form = iota // one OCI manifest
	ociIndex               // OCI index: arm64 first, then ours, then an attestation
	dockerOne              // one Docker v2 schema 2 manifest
	dockerList             // Docker manifest list: arm/v7, arm64, ours
)

// entry is one file that is written straight into a layer, without a staged tree.
type entry struct {
	path string // relative; "dir/" makes a directory
	mode int64
	body string
}

type layer struct {
	name     string
	tree     string // directory below the stage, or ""
	entries  []entry
	compress string // gzip, zstd, none
}

type config struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
}

type image struct {
	refs   []string
	layers []layer
	config config
	form   form
	demo   bool // needed by deploy/quickstart
}

const (
	defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	staging     = "gcr.io/k8s-staging-cri-tools/"
	e2e         = "registry.k8s.io/e2e-test-images/"
	own         = "docker.io/crisp/" // images that only our own tests use
)

// Layers shared by many images, so that pulls find layers that exist already.
var (
	libc    = layer{name: "libc", tree: "libc", compress: "gzip"}
	busybox = layer{name: "busybox", tree: "busybox", compress: "zstd"}
	nginx   = layer{name: "nginx", tree: "nginx", compress: "gzip"}
)

// marker makes an otherwise equal image a different one, as upstream does.
func marker(name string) layer {
	return layer{name: "marker " + name, compress: "none",
		entries: []entry{{path: name, mode: 0o644}}}
}

func shell() config {
	return config{Env: []string{defaultPath}, Cmd: []string{"sh"}}
}

// testImage is busybox with a marker file: what the test-image-* images of cri-tools are.
func testImage(f form, name string, tags ...string) image {
	img := image{form: f, config: shell()}
	mark := name
	if len(tags) == 1 {
		mark += "-" + tags[0]
	}
	img.layers = []layer{libc, busybox, marker(mark)}
	if len(tags) == 0 {
		tags = []string{"latest"}
	}
	for _, tag := range tags {
		img.refs = append(img.refs, staging+name+":"+tag)
	}
	return img
}

// userImage only differs in the user of its config.
func userImage(name, user string) image {
	img := testImage(ociIndex, name)
	img.config.User = user
	return img
}

func nginxConfig() config {
	return config{
		Env: []string{defaultPath}, Entrypoint: []string{"nginx"}, Cmd: []string{"-g", "daemon off;"},
		ExposedPorts: map[string]struct{}{"80/tcp": {}}, StopSignal: "SIGQUIT",
	}
}

func predefinedGroup() image {
	img := testImage(dockerList, "test-image-predefined-group")
	img.config.User = "1000"
	img.layers = append(img.layers, layer{name: "users", compress: "gzip", entries: []entry{
		{"etc/passwd", 0o644, passwd + "default-user:x:1000:1000::/home/default-user:/bin/sh\n"},
		{"etc/group", 0o644, group + "default-user:x:1000:\n" +
			"group-defined-in-image:x:50000:default-user\n"},
	}})
	return img
}

// whiteouts has every way a layer can delete something: a file, a directory, an opaque directory,
// and a name that is made again.
func whiteouts() image {
	img := image{refs: []string{own + "whiteouts:1"}, form: ociSingle, config: shell()}
	img.layers = []layer{libc, busybox,
		{name: "whiteouts below", compress: "gzip", entries: []entry{
			{"w/removed", 0o644, "1"}, {"w/kept", 0o600, "1"}, {"w/returns", 0o644, "1"},
			{"w/removed-dir/x", 0o644, "1"}, {"w/opaque/old", 0o644, "1"},
			{"w/dir-to-file/x", 0o644, "1"}, {"w/file-to-dir", 0o644, "1"}}},
		{name: "whiteouts middle", compress: "zstd", entries: []entry{
			{"w/.wh.removed", 0o644, ""}, {"w/.wh.returns", 0o644, ""},
			{"w/.wh.removed-dir", 0o644, ""}, {"w/opaque/.wh..wh..opq", 0o644, ""},
			{"w/opaque/new", 0o644, "2"}, {"w/dir-to-file", 0o644, "2"},
			{"w/file-to-dir/x", 0o644, "2"}}},
		{name: "whiteouts top", compress: "none", entries: []entry{{"w/returns", 0o644, "3"}}},
	}
	return img
}

// declaredVolumes has what images of databases have: volumes with and without a directory below.
func declaredVolumes() image {
	img := image{refs: []string{own + "volumes:1"}, form: ociSingle, config: shell()}
	img.layers = []layer{libc, busybox,
		{name: "volumes below", compress: "gzip", entries: []entry{
			{"seeded/", 0o1777, ""}, {"seeded/file", 0o640, "below"}, {"seeded/gone", 0o644, "x"},
			{"over/file", 0o644, "image"}, {"afile", 0o644, "x"}}},
		{name: "volumes top", compress: "zstd", entries: []entry{
			{"seeded/", 0o1777, ""},
			{"seeded/file", 0o640, "top"}, {"seeded/.wh.gone", 0o644, ""},
			{"seeded/deep/er/file", 0o600, "deep"}}},
	}
	img.config.Volumes = map[string]struct{}{"/missing": {}, "/seeded": {}, "/over": {},
		"relative/../named": {}, "/proc": {}, "/": {}, "/etc/hosts": {}}
	return img
}

// manyLayers has more layers than fit into the page of mount options on kernel 6.1.
func manyLayers(count int) image {
	img := image{refs: []string{fmt.Sprintf("%slayers-%d:1", own, count)}, form: dockerOne,
		config: shell(), layers: []layer{libc, busybox}}
	compress := []string{"gzip", "zstd", "none"}
	for i := len(img.layers); i < count; i++ {
		img.layers = append(img.layers, layer{name: fmt.Sprint("many ", i),
			compress: compress[i%len(compress)], entries: []entry{
				{fmt.Sprintf("layers/%03d", i), 0o644, fmt.Sprintln(i)},
				{"layers/last", 0o644, fmt.Sprintln(i)}}})
		if img.form == dockerOne && img.layers[i].compress == "zstd" {
			img.layers[i].compress = "gzip" // Docker's media types know no zstd
		}
	}
	return img
}

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\n" +
		"nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
	group = "root:x:0:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n"
)

func catalogue() []image {
	httpd := config{Env: []string{defaultPath}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
		Cmd: []string{"sh", "-c", "echo httpd starts; exec httpd -f -vv -p 80 -h /www"}}
	images := []image{
		{refs: []string{"docker.io/library/nginx:latest"}, form: ociIndex, demo: true,
			layers: []layer{libc, busybox, nginx}, config: nginxConfig()},
		{refs: []string{"docker.io/library/debian:latest", "docker.io/library/debian:bookworm"},
			form: dockerOne, demo: true, layers: []layer{{name: "debian", tree: "debian", compress: "gzip"}},
			config: config{Env: []string{defaultPath}, Cmd: []string{"bash"}}},
		{refs: []string{"docker.io/library/busybox:latest"}, form: ociIndex, demo: true,
			layers: []layer{libc, busybox, marker("etc/library")}, config: shell()},

		{refs: []string{e2e + "busybox:1.29-2"}, form: ociIndex, layers: []layer{libc, busybox},
			config: shell()},
		{refs: []string{e2e + "nginx:1.14-2"}, form: dockerList,
			layers: []layer{libc, dockerLayer(busybox), nginx, marker("etc/e2e")}, config: nginxConfig()},
		{refs: []string{e2e + "httpd:2.4.39-4"}, form: ociIndex, config: httpd,
			layers: []layer{libc, busybox, {name: "httpd", compress: "gzip", entries: []entry{
				{"www/index.html", 0o644, "<html><body><h1>It works!</h1></body></html>\n"}}}}},
		{refs: []string{e2e + "nonewprivs:1.3"}, form: dockerList,
			layers: []layer{libc, dockerLayer(busybox), {name: "nnp", tree: "nnp", compress: "gzip"}},
			config: config{Env: []string{defaultPath}, Cmd: []string{"nnp"}}},
		{refs: []string{"registry.k8s.io/pause:3.9", "k8s.gcr.io/pause:3.9"}, form: dockerList,
			layers: []layer{{name: "pause", tree: "pause", compress: "gzip"}},
			config: config{Env: []string{defaultPath}, Entrypoint: []string{"/pause"}, User: "65535:65535"}},
		{refs: []string{staging + "hostnet-nginx-{arch}:latest"}, form: dockerOne,
			layers: []layer{libc, dockerLayer(busybox), nginx, {name: "port 12003", compress: "gzip",
				entries: []entry{{"etc/nginx/conf.d/default.conf", 0o644, nginxSite(12003)}}}},
			config: nginxConfig()},

		testImage(dockerList, "test-image-tag", "test"),
		testImage(ociIndex, "test-image-tag", "all"),
		testImage(ociSingle, "test-image-latest"),
		testImage(dockerList, "test-image-digest"),
		testImage(ociIndex, "test-image-1"),
		testImage(dockerOne, "test-image-2"),
		testImage(dockerList, "test-image-3"),
		testImage(ociIndex, "test-image-tags", "1", "2", "3"),
		userImage("test-image-user-uid", "1002"),
		userImage("test-image-user-username", "www-data"),
		userImage("test-image-user-uid-group", "1003:1004"),
		userImage("test-image-user-username-group", "www-data:1004"),
		predefinedGroup(),

		whiteouts(),
		declaredVolumes(),
		manyLayers(100),
		{refs: []string{own + "annotated:1"}, form: ociSingle, layers: []layer{libc, busybox,
			marker("etc/annotated")}, config: config{Env: []string{defaultPath, "ANSWER=42"},
			Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{"pwd; id; env"}, User: "nobody",
			WorkingDir: "/made/by/the/runtime", Volumes: map[string]struct{}{"/data": {}},
			Labels: map[string]string{"crisp.test": "yes"}, StopSignal: "SIGUSR1"}},
	}
	for _, tag := range []string{"1.35.0-glibc", "1-uclibc", "1", "1-glibc", "1-musl"} {
		images = append(images, image{refs: []string{"public.ecr.aws/docker/library/busybox:" + tag},
			form: dockerList, layers: []layer{libc, dockerLayer(busybox), marker("etc/" + tag)},
			config: shell()})
	}
	images = append(images, popular()...)
	images = append(images, kubernetes()...)
	for i := range images {
		if images[i].form == dockerOne || images[i].form == dockerList {
			for j := range images[i].layers {
				images[i].layers[j] = dockerLayer(images[i].layers[j])
			}
		}
	}
	return images
}

// dockerLayer is the same layer in the only compression Docker's media types have.
func dockerLayer(l layer) layer {
	l.compress = "gzip"
	return l
}

func nginxSite(port int) string {
	return fmt.Sprintf("server {\n  listen %d;\n  root /usr/share/nginx/html;\n}\n", port)
}

func withArch(ref, arch string) string { return strings.ReplaceAll(ref, "{arch}", arch) }

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own structs come here
	}
	return data
}
