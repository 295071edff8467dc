package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// tarOf writes a layer the same way each time: sorted names, times not after the epoch, hard links
// as such, no user names.
func tarOf(out io.Writer, stage string, l layer, epoch time.Time) error {
	w := tar.NewWriter(out)
	if l.tree != "" {
		if err := addTree(w, filepath.Join(stage, l.tree), epoch); err != nil {
			return fmt.Errorf("layer %s: %w", l.name, err)
		}
	}
	entries := append([]entry(nil), l.entries...)
	sort.Slice(entries, func(i, j int) bool { return entries[i].path < entries[j].path })
	made := map[string]bool{".": true}
	for _, e := range entries {
		var parents []string
		for dir := path.Dir(path.Clean(e.path)); !made[dir]; dir = path.Dir(dir) {
			parents = append([]string{dir}, parents...)
			made[dir] = true
		}
		for _, dir := range parents {
			head := tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: epoch}
			if err := w.WriteHeader(&head); err != nil {
				return err
			}
		}
		head := tar.Header{Typeflag: tar.TypeReg, Name: e.path, Mode: e.mode,
			Size: int64(len(e.body)), ModTime: epoch}
		if strings.HasSuffix(e.path, "/") {
			head.Typeflag = tar.TypeDir
			made[path.Clean(e.path)] = true
		}
		if err := w.WriteHeader(&head); err != nil {
			return err
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			return err
		}
	}
	return w.Close()
}

func addTree(w *tar.Writer, tree string, epoch time.Time) error {
	first := map[uint64]string{} // inode -> first name, for hard links
	return filepath.WalkDir(tree, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == tree {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(file); err != nil {
				return err
			}
		}
		head, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err // a socket
		}
		stat := info.Sys().(*syscall.Stat_t)
		head.Name, _ = filepath.Rel(tree, file)
		if d.IsDir() {
			head.Name += "/"
		}
		head.Uname, head.Gname = "", ""
		head.AccessTime, head.ChangeTime = time.Time{}, time.Time{}
		head.ModTime = head.ModTime.Truncate(time.Second)
		if head.ModTime.After(epoch) {
			head.ModTime = epoch
		}
		if info.Mode().IsRegular() {
			if stat.Nlink > 1 {
				if name, ok := first[stat.Ino]; ok {
					head.Typeflag, head.Linkname, head.Size = tar.TypeLink, name, 0
					return w.WriteHeader(head)
				}
				first[stat.Ino] = head.Name
			}
			if err := addCapability(head, file); err != nil {
				return err
			}
		}
		if err := w.WriteHeader(head); err != nil || !info.Mode().IsRegular() {
			return err
		}
		in, err := os.Open(file)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(w, in)
		return err
	})
}

// addCapability keeps file capabilities, the one extended attribute Debian packages set.
func addCapability(head *tar.Header, file string) error {
	const attr = "security.capability"
	value := make([]byte, 64)
	n, err := syscall.Getxattr(file, attr, value)
	if err == syscall.ENODATA || err == syscall.ENOTSUP {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", file, attr, err)
	}
	head.PAXRecords = map[string]string{"SCHILY.xattr." + attr: string(value[:n])}
	return nil
}

// blob is something in the layout, with the facts a descriptor needs.
type blob struct {
	digest string
	size   int64
	diffID string // layers only: digest before compression
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blobPath(layout, digest string) string {
	return filepath.Join(layout, "blobs", strings.Replace(digest, ":", "/", 1))
}

func writeBlob(layout string, data []byte) (blob, error) {
	b := blob{digest: digestOf(data), size: int64(len(data))}
	return b, writeFile(blobPath(layout, b.digest), data)
}

func writeFile(file string, data []byte) error {
	if err := os.WriteFile(file+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func writeLayer(layout, stage string, l layer, epoch time.Time) (blob, error) {
	var out bytes.Buffer
	plain := sha256.New()
	var compressor io.WriteCloser
	wait := func() error { return nil }
	switch l.compress {
	case "gzip":
		compressor = gzip.NewWriter(&out)
	case "zstd":
		cmd := exec.Command("zstd", "-q", "-c", "-6", "-T1")
		cmd.Stdout, cmd.Stderr = &out, os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return blob{}, err
		}
		if err := cmd.Start(); err != nil {
			return blob{}, err
		}
		compressor, wait = in, cmd.Wait
	default:
		compressor = nopCloser{&out}
	}
	err := tarOf(io.MultiWriter(plain, compressor), stage, l, epoch)
	if closed := compressor.Close(); err == nil {
		err = closed
	}
	if waited := wait(); err == nil {
		err = waited
	}
	if err != nil {
		return blob{}, fmt.Errorf("layer %s: %w", l.name, err)
	}
	b, err := writeBlob(layout, out.Bytes())
	b.diffID = "sha256:" + hex.EncodeToString(plain.Sum(nil))
	return b, err
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
