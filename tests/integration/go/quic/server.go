// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/lucas-clemente/quic-go"
)

// gateway answers as PROTOCOL 5 says. It keeps no log: an event goes to the streams that are open when it is told of it.
type gateway struct {
	sync.Mutex
	id          string
	latest      float64
	events      map[quic.Stream]bool
	connections map[quic.Connection]bool
}

func server(arguments []string) {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "host:port")
	ca := flags.String("ca", "", "file with the certificates that a client has to chain to")
	certificate := flags.String("certificate", "", "file with our chain and key")
	alpn := flags.String("alpn", "twinlatch/1", "protocols, comma-separated; empty: none")
	names := flags.String("versions", "v1", "versions, comma-separated")
	id := flags.String("gateway-id", "", "what health says")
	retry := flags.Bool("retry", false, "demand a proof of every address")
	fail(flags.Parse(arguments))

	pair, err := tls.LoadX509KeyPair(*certificate, *certificate)
	fail(err)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool(*ca), ClientAuth: tls.RequireAndVerifyClientCert,
		NextProtos: protocols(*alpn), MinVersion: tls.VersionTLS13}
	settings := quicConfig(*names)
	settings.RequireAddressValidation = func(net.Addr) bool { return *retry }
	settings.MaxIncomingStreams = 64
	settings.StatelessResetKey = []byte("a key for the resets of one test")
	listener, err := quic.ListenAddr(*listen, config, settings)
	fail(err)
	tell("listening", object{"address": listener.Addr().String()})

	self := &gateway{id: *id, events: map[quic.Stream]bool{}, connections: map[quic.Connection]bool{}}
	go self.accept(listener)
	commands(self.obey)
	fail(listener.Close())
}

func (self *gateway) accept(listener quic.Listener) {
	for {
		connection, err := listener.Accept(context.Background())
		if err != nil {
			os.Exit(0)
		}
		self.Lock()
		self.connections[connection] = true
		self.Unlock()
		state := connection.ConnectionState().TLS
		tell("accepted", object{"alpn": state.NegotiatedProtocol, "device": state.PeerCertificates[0].Subject.CommonName,
			"remote": connection.RemoteAddr().String()})
		go self.serve(connection)
	}
}

func (self *gateway) serve(connection quic.Connection) {
	for {
		stream, err := connection.AcceptStream(context.Background())
		if err != nil {
			self.Lock()
			delete(self.connections, connection)
			self.Unlock()
			tell("closed", ending(err))
			return
		}
		go self.request(stream)
	}
}

func (self *gateway) request(stream quic.Stream) {
	request, err := readFrame(stream)
	if err != nil {
		end := ending(err)
		end["stream"] = int64(stream.StreamID())
		tell("ended", end)
		return
	}
	self.Lock()
	latest := self.latest
	if request["method"] == "node.stream_events" { // before anybody is told of it, so that no event is missed
		self.answer(stream, object{"kind": "ready", "ok": true, "latest_seq": latest}, false)
		self.events[stream] = true
	}
	self.Unlock()
	tell("request", object{"stream": int64(stream.StreamID()), "request": request})
	switch request["method"] {
	case "node.health":
		self.answer(stream, object{"kind": "health", "ok": true, "gateway_id": self.id, "node_rpc_mtls_required": true,
			"server_time_unix_ms": time.Now().UnixNano() / 1000000, "latest_seq": latest}, true)
	case "node.stream_events": // open until it is ended
	case "node.ack_events", "node.event":
		self.answer(stream, object{"kind": "ack", "ok": true}, true)
	case "node.submit_result":
		self.answer(stream, object{"kind": "result_accepted", "ok": true, "request_id": request["request_id"], "duplicate": false,
			"unknown": false}, true)
	default:
		self.answer(stream, object{"kind": "error", "ok": false, "error": "unsupported_method", "message": "no such method",
			"reason": ""}, true)
	}
}

func (self *gateway) answer(stream quic.Stream, answer object, last bool) {
	answer["protocol_version"] = 1
	err := writeFrame(stream, answer)
	if err == nil && last {
		err = stream.Close()
	}
	if err != nil {
		tell("not_sent", object{"stream": int64(stream.StreamID()), "ending": ending(err)})
	}
}

func (self *gateway) obey(it command) {
	self.Lock()
	defer self.Unlock()
	switch it.Do {
	case "event": // to every open event stream
		it.Event["kind"], it.Event["ok"] = "event", true
		if seq, right := it.Event["seq"].(float64); right {
			self.latest = seq
		}
		for stream := range self.events {
			self.answer(stream, it.Event, false)
		}
	case "finish": // event streams end in good order
		for stream := range self.events {
			fail(stream.Close())
			delete(self.events, stream)
		}
	case "reset":
		for stream := range self.events {
			stream.CancelWrite(quic.StreamErrorCode(it.Code))
			delete(self.events, stream)
		}
	case "close":
		for connection := range self.connections {
			fail(connection.CloseWithError(quic.ApplicationErrorCode(it.Code), it.Reason))
		}
	default:
		fail(fmt.Errorf("a server does not know how to %q", it.Do))
	}
}
