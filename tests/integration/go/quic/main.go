// SPDX-License-Identifier: Apache-2.0

// An independent QUIC implementation (quic-go) that speaks PROTOCOL 5, either side.
//
//	quic client [flags]   connects, then obeys the commands on standard input
//	quic server [flags]   answers as a gateway does, and sends what standard input says
//
// Commands are JSON objects, one a line; what happens is printed as JSON objects, one a line, each with `what` and the
// time in microseconds (Unix). The program ends with its standard input or its connection.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

type object map[string]interface{}

var output sync.Mutex

// tell prints that something happened.
func tell(what string, more object) {
	line := object{"what": what, "at_us": time.Now().UnixNano() / 1000}
	for key, value := range more {
		line[key] = value
	}
	text, err := json.Marshal(line)
	fail(err)
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(text))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "quic:", err)
		os.Exit(1)
	}
}

// command is one line of standard input; which members matter depends on Do.
type command struct {
	Do     string          `json:"do"`
	ID     string          `json:"id"`
	Frame  json.RawMessage `json:"frame"`
	Hex    string          `json:"hex"`
	Open   bool            `json:"open"` // do not end our side of the stream
	Code   uint64          `json:"code"`
	Reason string          `json:"reason"`
	Event  object          `json:"event"`
}

// commands calls obey for each line, until the end of standard input.
func commands(obey func(command)) {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 65536), 16<<20)
	for lines.Scan() {
		var it command
		fail(json.Unmarshal(lines.Bytes(), &it))
		obey(it)
	}
	fail(lines.Err())
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "client" {
		client(os.Args[2:])
	} else if len(os.Args) > 1 && os.Args[1] == "server" {
		server(os.Args[2:])
	} else {
		fail(fmt.Errorf("client or server?"))
	}
}
