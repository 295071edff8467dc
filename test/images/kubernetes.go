package main

import (
	"archive/zip"
	"bytes"
	"time"
)

// A web application as an image for an init container, and the Tomcat that serves it.
const (
	tomcatServer = `<Server port="-1">
  <Service name="Catalina">
    <Connector port="8080" protocol="HTTP/1.1"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps" unpackWARs="true" autoDeploy="false"/>
    </Engine>
  </Service>
</Server>
`
	tomcatWeb = `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0">
  <servlet>
    <servlet-name>default</servlet-name>
    <servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class>
    <load-on-startup>1</load-on-startup>
  </servlet>
  <servlet>
    <servlet-name>jsp</servlet-name>
    <servlet-class>org.apache.jasper.servlet.JspServlet</servlet-class>
    <load-on-startup>3</load-on-startup>
  </servlet>
  <servlet-mapping>
    <servlet-name>default</servlet-name>
    <url-pattern>/</url-pattern>
  </servlet-mapping>
  <servlet-mapping>
    <servlet-name>jsp</servlet-name>
    <url-pattern>*.jsp</url-pattern>
  </servlet-mapping>
</web-app>
`
	sampleWeb = `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0">
  <display-name>sample</display-name>
</web-app>
`
	// Tomcat compiles it to a servlet; the page has what only a running one knows.
	sampleHello = `<%@ page contentType="text/plain; charset=UTF-8" %>` +
		`Hello from <%= application.getServletContextName() %>` +
		` on <%= application.getServerInfo() %>: ` +
		`<%= this instanceof jakarta.servlet.Servlet ? "a servlet" : "" %>
`
)

// sampleWar is the same archive each time: sorted names, one time.
func sampleWar() string {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range []entry{
		{"META-INF/MANIFEST.MF", 0, "Manifest-Version: 1.0\r\n\r\n"},
		{"WEB-INF/web.xml", 0, sampleWeb},
		{"hello.jsp", 0, sampleHello},
	} {
		file, err := w.CreateHeader(&zip.FileHeader{Name: e.path, Method: zip.Deflate,
			Modified: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err == nil {
			_, err = file.Write([]byte(e.body))
		}
		if err != nil {
			panic(err) // writes to memory do not fail
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.String()
}

// kubernetes are images that only test/kubernetes uses.
func kubernetes() []image {
	const base = "/var/lib/tomcat10"
	return []image{
		{refs: []string{own + "probed:1"}, form: ociSingle,
			layers: []layer{{name: "probed", tree: "probed", compress: "gzip"}},
			config: config{Env: []string{"PATH=/"}, Entrypoint: []string{"/probed"}}},
		{refs: []string{own + "nftables:1"}, form: ociIndex, layers: debianWith("nftables"),
			config: shell()},
		{refs: []string{own + "sample-war:1"}, form: ociIndex,
			layers: []layer{libc, busybox, {name: "sample war", compress: "gzip",
				entries: []entry{{"sample.war", 0o644, sampleWar()}}}},
			config: shell()},
		{refs: []string{own + "tomcat:10"}, form: ociIndex,
			layers: append(debianWith("java", "tomcat"), layer{name: "tomcat base", compress: "gzip",
				entries: []entry{
					{base[1:] + "/conf/server.xml", 0o644, tomcatServer},
					{base[1:] + "/conf/web.xml", 0o644, tomcatWeb},
					{base[1:] + "/logs/", 0o755, ""}, {base[1:] + "/temp/", 0o755, ""},
					{base[1:] + "/webapps/", 0o755, ""}, {base[1:] + "/work/", 0o755, ""}}}),
			config: config{Env: []string{javaPath, "CATALINA_HOME=/usr/share/tomcat10",
				"CATALINA_BASE=" + base, "JRE_HOME=/usr/lib/jvm/java-17-openjdk-amd64",
				"CATALINA_OPTS=-Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"},
				Entrypoint: []string{"sh", "/usr/share/tomcat10/bin/catalina.sh"}, Cmd: []string{"run"},
				ExposedPorts: map[string]struct{}{"8080/tcp": {}}}},
	}
}
