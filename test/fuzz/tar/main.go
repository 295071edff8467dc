// tarlist lists archives as Go's archive/tar reads them, which Docker, containerd and CRI-O use:
// test/fuzz/tar_reader_fuzz.cc compares the list with that of crisp's reader.
//
// Standard input has archives one after the other, each behind its length (4 bytes, little-endian).
// For each one the same goes to standard output with a text: a line for each entry; "large" in the
// place of a file of more than 1 MiB and all behind it; or only "error".
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
)

const (
	maxFile = 1 << 20
	farTime = int64(1) << 62
	// Types that archive/tar leaves to its caller, as crisp takes them (snapshot/tar_reader.h).
	skipped = "gV"
	files   = "07S"
	taken   = "123456" + files + skipped
	// By the digit of the type: links, devices, directory and FIFO have no contents.
	withoutContents = "hlcbdp"
)

// entry is one line: type, name, target, mode, ids, size, time, device, attributes, contents.
func entry(reader *tar.Reader, header *tar.Header) (string, error) {
	kind, target, size := "f", "", header.Size
	if header.Typeflag >= '1' && header.Typeflag <= '6' {
		kind = string(withoutContents[header.Typeflag-'1'])
		size = 0
	}
	if kind == "h" || kind == "l" {
		target = header.Linkname
	}
	when := "far"
	if seconds := header.ModTime.Unix(); seconds > -farTime && seconds < farTime {
		when = fmt.Sprintf("%d.%d", seconds, header.ModTime.Nanosecond())
	}
	var attributes []string
	for key, value := range header.PAXRecords {
		if name, found := strings.CutPrefix(key, "SCHILY.xattr."); found {
			attributes = append(attributes, fmt.Sprintf("%x=%x", name, value))
		}
	}
	slices.Sort(attributes)
	contents := sha256.New()
	if _, err := io.Copy(contents, reader); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %x %x %o %d:%d %d %s %d:%d %s %x\n", kind, header.Name, target,
		header.Mode&0o7777, header.Uid, header.Gid, size, when, header.Devmajor,
		header.Devminor, strings.Join(attributes, ","), contents.Sum(nil)), nil
}

func list(archive []byte) string {
	var lines strings.Builder
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return lines.String()
		}
		if err != nil || !strings.ContainsRune(taken, rune(header.Typeflag)) {
			return "error"
		}
		if header.Size > maxFile && strings.ContainsRune(files, rune(header.Typeflag)) {
			lines.WriteString("large\n")
			return lines.String()
		}
		line, err := entry(reader, header)
		if err != nil {
			return "error"
		}
		if !strings.ContainsRune(skipped, rune(header.Typeflag)) {
			lines.WriteString(line)
		}
	}
}

func main() {
	log.SetFlags(0)
	input := bufio.NewReader(os.Stdin)
	for {
		var length uint32
		if err := binary.Read(input, binary.LittleEndian, &length); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal("tarlist: ", err)
		}
		archive := make([]byte, length)
		if _, err := io.ReadFull(input, archive); err != nil {
			log.Fatal("tarlist: ", err)
		}
		text := list(archive)
		reply := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
		if _, err := os.Stdout.Write(append(reply, text...)); err != nil {
			log.Fatal("tarlist: ", err)
		}
	}
}
