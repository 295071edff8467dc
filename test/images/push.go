package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// pusher sends a layout to a registry. The registry serves every upstream host (hosts.toml mirrors
// point all of them here), so the host of a reference is dropped.
type pusher struct {
	layout, base string
	has          map[string]string // blob digest -> repository that has it
}

func push(layout, registry string) error {
	index, err := readIndex(layout)
	if err != nil {
		return err
	}
	p := pusher{layout, "http://" + registry + "/v2/", map[string]string{}}
	for _, d := range index.Manifests {
		ref := d.Annotations[refName]
		_, rest, _ := strings.Cut(ref, "/")
		repo, tag, ok := strings.Cut(rest, ":")
		if !ok {
			return fmt.Errorf("%s: no tag", ref)
		}
		if err := p.pushManifest(repo, tag, d); err != nil {
			return fmt.Errorf("push %s: %w", ref, err)
		}
	}
	return nil
}

// pushManifest sends what a manifest or list refers to, then itself under name (a tag or digest).
func (p *pusher) pushManifest(repo, name string, d descriptor) error {
	data, err := os.ReadFile(blobPath(p.layout, d.Digest))
	if err != nil {
		return err
	}
	var content struct {
		manifestList
		Config *descriptor
		Layers []descriptor
	}
	if err := json.Unmarshal(data, &content); err != nil {
		return err
	}
	for _, child := range content.Manifests {
		if err := p.pushManifest(repo, child.Digest, child); err != nil {
			return err
		}
	}
	if content.Config != nil {
		for _, b := range append(content.Layers, *content.Config) {
			if err := p.pushBlob(repo, b.Digest); err != nil {
				return err
			}
		}
	}
	head := http.Header{"Content-Type": {d.MediaType}}
	_, err = p.call("PUT", p.base+repo+"/manifests/"+name, head, bytes.NewReader(data), 201)
	return err
}

func (p *pusher) pushBlob(repo, digest string) error {
	if p.has[digest] == repo || p.has[repo+digest] != "" {
		return nil
	}
	start := p.base + repo + "/blobs/uploads/"
	if from := p.has[digest]; from != "" {
		start += "?mount=" + url.QueryEscape(digest) + "&from=" + url.QueryEscape(from)
		p.has[repo+digest] = repo
		_, err := p.call("POST", start, nil, nil, 201)
		return err
	}
	place, err := p.call("POST", start, nil, nil, 202)
	if err != nil {
		return err
	}
	file, err := os.Open(blobPath(p.layout, digest))
	if err != nil {
		return err
	}
	defer file.Close()
	separator := "?"
	if strings.Contains(place, "?") {
		separator = "&"
	}
	head := http.Header{"Content-Type": {"application/octet-stream"}}
	_, err = p.call("PUT", place+separator+"digest="+url.QueryEscape(digest), head, file, 201)
	p.has[digest] = repo
	return err
}

// call sends a request, checks its status and returns the Location of the answer.
func (p *pusher) call(method, to string, head http.Header, body io.Reader, want int) (
	string, error) {
	request, err := http.NewRequest(method, to, body)
	if err != nil {
		return "", err
	}
	if head != nil {
		request.Header = head
	}
	if file, ok := body.(*os.File); ok {
		info, err := file.Stat()
		if err != nil {
			return "", err
		}
		request.ContentLength = info.Size()
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
	if answer.StatusCode != want {
		return "", fmt.Errorf("%s %s: %s: %s", method, to, answer.Status, text)
	}
	return answer.Header.Get("Location"), nil
}
