package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const (
	refName = "org.opencontainers.image.ref.name"

	typeOciIndex    = "application/vnd.oci.image.index.v1+json"
	typeOciManifest = "application/vnd.oci.image.manifest.v1+json"
	typeOciConfig   = "application/vnd.oci.image.config.v1+json"
	typeOciLayer    = "application/vnd.oci.image.layer.v1.tar"
	typeList        = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeManifest    = "application/vnd.docker.distribution.manifest.v2+json"
	typeConfig      = "application/vnd.docker.container.image.v1+json"
	typeLayer       = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type manifestList struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type imageConfig struct {
	Created string `json:"created"`
	platform
	Config config `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []map[string]string `json:"history"`
}

type builder struct {
	layout, stage string
	epoch         time.Time
	layers        map[string]blob // by layer name and compression
}

func build(layout, stage string, demo bool) error {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	b := builder{layout, stage, time.Unix(seconds, 0).UTC(), map[string]blob{}}
	if err := os.MkdirAll(filepath.Join(layout, "blobs/sha256"), 0o755); err != nil {
		return err
	}
	var images []image
	for _, img := range catalogue() {
		if img.demo || !demo {
			images = append(images, img)
		}
	}
	if err := b.writeLayers(images); err != nil {
		return err
	}
	index := manifestList{SchemaVersion: 2, MediaType: typeOciIndex}
	for _, img := range images {
		top, err := b.writeImage(img)
		if err != nil {
			return fmt.Errorf("%s: %w", img.refs[0], err)
		}
		for _, ref := range img.refs {
			top.Annotations = map[string]string{refName: withArch(ref, runtime.GOARCH)}
			index.Manifests = append(index.Manifests, top)
		}
	}
	version := []byte(`{"imageLayoutVersion":"1.0.0"}`)
	if err := writeFile(filepath.Join(layout, "oci-layout"), version); err != nil {
		return err
	}
	return writeFile(filepath.Join(layout, "index.json"), mustJSON(index))
}

func key(l layer) string { return l.name + "/" + l.compress }

// writeLayers packs every distinct layer once, all processors busy.
func (b *builder) writeLayers(images []image) error {
	wanted := map[string]layer{}
	for _, img := range images {
		for _, l := range img.layers {
			wanted[key(l)] = l
		}
	}
	var mutex sync.Mutex
	var group sync.WaitGroup
	var failed error
	slots := make(chan struct{}, runtime.NumCPU())
	for name, l := range wanted {
		group.Go(func() {
			slots <- struct{}{}
			done, err := writeLayer(b.layout, b.stage, l, b.epoch)
			<-slots
			mutex.Lock()
			defer mutex.Unlock()
			b.layers[name] = done
			if err != nil {
				failed = err
			}
		})
	}
	group.Wait()
	return failed
}

func (b *builder) writeImage(img image) (descriptor, error) {
	host := platform{Architecture: runtime.GOARCH, OS: "linux"}
	others := []platform{{Architecture: "arm", OS: "linux", Variant: "v7"},
		{Architecture: "arm64", OS: "linux", Variant: "v8"}, {Architecture: "s390x", OS: "linux"}}
	switch img.form {
	case ociSingle, dockerOne:
		return b.writeManifest(img, host)
	}
	list := manifestList{SchemaVersion: 2, MediaType: typeList}
	if img.form == ociIndex {
		list.MediaType = typeOciIndex
	}
	// Foreign platforms come first, so that a runtime that takes the first entry fails.
	for _, p := range append(others, host) {
		if p.Architecture == host.Architecture && p.Variant != "" {
			continue
		}
		d, err := b.writeManifest(img, p)
		if err != nil {
			return descriptor{}, err
		}
		d.Platform = &p
		list.Manifests = append(list.Manifests, d)
	}
	if img.form == ociIndex {
		d, err := b.writeAttestation(list.Manifests[len(list.Manifests)-1].Digest)
		if err != nil {
			return descriptor{}, err
		}
		list.Manifests = append(list.Manifests, d)
	}
	return b.store(list.MediaType, mustJSON(list))
}

func (b *builder) store(mediaType string, data []byte) (descriptor, error) {
	done, err := writeBlob(b.layout, data)
	return descriptor{MediaType: mediaType, Digest: done.digest, Size: done.size}, err
}

func (b *builder) writeManifest(img image, p platform) (descriptor, error) {
	docker := img.form == dockerOne || img.form == dockerList
	conf := imageConfig{Created: b.epoch.Format(time.RFC3339), platform: p, Config: img.config}
	conf.RootFS.Type = "layers"
	m := manifest{SchemaVersion: 2, MediaType: typeOciManifest}
	configType := typeOciConfig
	if docker {
		m.MediaType, configType = typeManifest, typeConfig
	}
	for _, l := range img.layers {
		done := b.layers[key(l)]
		mediaType := typeOciLayer
		if docker {
			mediaType = typeLayer
		} else if l.compress != "none" {
			mediaType += "+" + l.compress
		}
		m.Layers = append(m.Layers,
			descriptor{MediaType: mediaType, Digest: done.digest, Size: done.size})
		conf.RootFS.DiffIDs = append(conf.RootFS.DiffIDs, done.diffID)
		conf.History = append(conf.History, map[string]string{
			"created": conf.Created, "created_by": "crisp test/images: " + l.name})
	}
	var err error
	if m.Config, err = b.store(configType, mustJSON(conf)); err != nil {
		return descriptor{}, err
	}
	return b.store(m.MediaType, mustJSON(m))
}

// writeAttestation adds what docker buildx adds to every index: a manifest that is not an image.
func (b *builder) writeAttestation(subject string) (descriptor, error) {
	statement, err := b.store("application/vnd.in-toto+json",
		[]byte(`{"_type":"https://in-toto.io/Statement/v0.1","predicate":{}}`))
	if err != nil {
		return descriptor{}, err
	}
	unknown := platform{Architecture: "unknown", OS: "unknown"}
	conf, err := b.store(typeOciConfig, mustJSON(imageConfig{platform: unknown}))
	if err != nil {
		return descriptor{}, err
	}
	m := manifest{2, typeOciManifest, conf, []descriptor{statement}}
	d, err := b.store(typeOciManifest, mustJSON(m))
	d.Platform = &unknown
	d.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest",
		"vnd.docker.reference.digest": subject}
	return d, err
}
