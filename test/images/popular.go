package main

// Entrypoints of databases start as root, because the volume that was made for them is root's, and
// go on as the database's own user.
const (
	redisEntrypoint = `#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
  chown -R redis /data
  exec gosu redis "$0" "$@"
fi
exec "$@"
`
	postgresEntrypoint = `#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /run/postgresql
  chown -R postgres "$PGDATA" /run/postgresql
  chmod 700 "$PGDATA"
  exec gosu postgres "$0" "$@"
fi
[ -s "$PGDATA/PG_VERSION" ] || initdb --username=postgres --auth=trust --locale=C --no-sync
exec "$@"
`
	nginxUnprivileged = `worker_processes 1;
pid /tmp/nginx.pid;
error_log /var/log/nginx/error.log notice;
events { worker_connections 256; }
http {
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  access_log /var/log/nginx/access.log;
  server {
    listen 8080;
    root /usr/share/nginx/html;
  }
}
`
	postgresPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:" +
		"/usr/lib/postgresql/15/bin"
	javaPath = defaultPath + ":/usr/lib/jvm/java-17-openjdk-amd64/bin"
)

func debianWith(names ...string) []layer {
	layers := []layer{{name: "debian", tree: "debian", compress: "gzip"}}
	for _, name := range names {
		layers = append(layers, layer{name: name, tree: name, compress: "zstd"})
	}
	return layers
}

func withEntrypoint(layers []layer, name, script string) []layer {
	return append(layers, layer{name: name + " entrypoint", compress: "gzip",
		entries: []entry{{"usr/local/bin/docker-entrypoint.sh", 0o755, script}}})
}

// popular are images that are made as the most pulled public ones are.
func popular() []image {
	volume := func(path string) map[string]struct{} { return map[string]struct{}{path: {}} }
	entrypoint := []string{"docker-entrypoint.sh"}
	return []image{
		{refs: []string{own + "redis:7"}, form: ociIndex,
			layers: withEntrypoint(debianWith("ssl", "gosu", "redis"), "redis", redisEntrypoint),
			config: config{Env: []string{defaultPath}, Entrypoint: entrypoint,
				Cmd: []string{"redis-server"}, Volumes: volume("/data"), WorkingDir: "/data"}},
		{refs: []string{own + "postgres:15"}, form: ociIndex,
			layers: append(withEntrypoint(debianWith("ssl", "gosu", "icu", "postgres"), "postgres",
				postgresEntrypoint), layer{name: "postgres data", compress: "gzip",
				entries: []entry{{"var/lib/postgresql/data/", 0o1777, ""}}}),
			config: config{Env: []string{postgresPath, "PGDATA=/var/lib/postgresql/data"},
				Entrypoint: entrypoint, Cmd: []string{"postgres"},
				Volumes: volume("/var/lib/postgresql/data"), StopSignal: "SIGINT"}},
		{refs: []string{own + "nginx-unprivileged:1"}, form: dockerList,
			layers: []layer{libc, busybox, nginx, {name: "nginx unprivileged", compress: "gzip",
				entries: []entry{{"etc/nginx/nginx.conf", 0o644, nginxUnprivileged}}}},
			config: config{Env: []string{defaultPath}, Entrypoint: []string{"nginx"},
				Cmd: []string{"-g", "daemon off;"}, User: "101", StopSignal: "SIGQUIT"}},
		{refs: []string{own + "hello:1"}, form: ociSingle,
			layers: []layer{{name: "hello", tree: "hello", compress: "gzip"}},
			config: config{Entrypoint: []string{"/hello"}, User: "65532:65532"}},
		{refs: []string{own + "python:3-slim"}, form: ociIndex, layers: debianWith("ssl", "python"),
			config: config{Env: []string{defaultPath}, Cmd: []string{"python3"}, User: "nobody",
				WorkingDir: "/usr/src/app"}},
		{refs: []string{own + "java:17-jre"}, form: ociIndex, layers: debianWith("java"),
			config: config{Env: []string{javaPath, "LANG=C.UTF-8"}}},
	}
}
