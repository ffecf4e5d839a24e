// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"flag"
	"fmt"
	"io/ioutil"
	"os"
	"strings"
	"time"

	"github.com/lucas-clemente/quic-go"
)

var versions = map[string]quic.VersionNumber{"v1": quic.Version1, "v2": quic.Version2, "draft-29": quic.VersionDraft29}

// quicConfig has what both sides want.
func quicConfig(names string) *quic.Config {
	config := &quic.Config{HandshakeIdleTimeout: 5 * time.Second, MaxIdleTimeout: 60 * time.Second, Tracer: tracer{}}
	for _, name := range strings.Split(names, ",") {
		version, known := versions[name]
		if !known {
			fail(fmt.Errorf("no version %q", name))
		}
		config.Versions = append(config.Versions, version)
	}
	return config
}

func pool(file string) *x509.CertPool {
	text, err := ioutil.ReadFile(file)
	fail(err)
	certificates := x509.NewCertPool()
	if !certificates.AppendCertsFromPEM(text) {
		fail(fmt.Errorf("no certificate in %s", file))
	}
	return certificates
}

func protocols(alpn string) []string {
	if alpn == "" {
		return nil
	}
	return strings.Split(alpn, ",")
}

func client(arguments []string) {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	address := flags.String("address", "", "host:port of the server")
	ca := flags.String("ca", "", "file with the certificates that the server has to chain to")
	name := flags.String("name", "", "name in the server's certificate")
	certificate := flags.String("certificate", "", "file with our chain and key; none: no certificate")
	alpn := flags.String("alpn", "twinlatch/1", "protocols to offer, comma-separated; empty: no ALPN at all")
	names := flags.String("versions", "v1", "versions to offer, comma-separated")
	keepAlive := flags.Duration("keep-alive", 20*time.Second, "0: none")
	fail(flags.Parse(arguments))

	config := &tls.Config{RootCAs: pool(*ca), ServerName: *name, NextProtos: protocols(*alpn), MinVersion: tls.VersionTLS13}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *certificate)
		fail(err)
		// Whatever CAs the server lists: it is the server that has to refuse.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	settings := quicConfig(*names)
	settings.KeepAlivePeriod = *keepAlive
	connection, err := quic.DialAddr(*address, config, settings)
	if err != nil {
		tell("closed", ending(err))
		os.Exit(0)
	}
	state := connection.ConnectionState().TLS
	tell("connected", object{"alpn": state.NegotiatedProtocol, "resumed": state.DidResume, "local": connection.LocalAddr().String()})
	go watch(connection)
	obeyClient(connection)
	fail(connection.CloseWithError(0, ""))
	<-connection.Context().Done()
}

// watch ends the program when the connection ends by the peer; a gateway opens no streams.
func watch(connection quic.Connection) {
	for {
		stream, err := connection.AcceptStream(context.Background())
		if err != nil {
			tell("closed", ending(err))
			os.Exit(0)
		}
		tell("unexpected_stream", object{"stream": int64(stream.StreamID())})
	}
}

func obeyClient(connection quic.Connection) {
	streams := map[string]quic.Stream{}
	commands(func(it command) {
		switch it.Do {
		case "send": // a frame or bytes on a new stream, or on one that was left open
			stream, known := streams[it.ID]
			if !known {
				var err error
				stream, err = connection.OpenStream()
				if err != nil {
					tell("ended", object{"id": it.ID, "kind": "no_stream", "code": 0, "reason": err.Error()})
					return
				}
				streams[it.ID] = stream
				go readAnswers(it.ID, stream)
			}
			send(it, stream)
		case "cancel":
			streams[it.ID].CancelRead(quic.StreamErrorCode(it.Code))
			streams[it.ID].CancelWrite(quic.StreamErrorCode(it.Code))
		case "close":
			fail(connection.CloseWithError(quic.ApplicationErrorCode(it.Code), it.Reason))
		default:
			fail(fmt.Errorf("a client does not know how to %q", it.Do))
		}
	})
}

func send(it command, stream quic.Stream) {
	var err error
	if it.Hex != "" {
		bytes, wrong := hex.DecodeString(it.Hex)
		fail(wrong)
		_, err = stream.Write(bytes)
	} else if it.Frame != nil {
		err = writeFrame(stream, it.Frame)
	}
	if err == nil && !it.Open {
		err = stream.Close()
	}
	if err != nil {
		tell("not_sent", object{"id": it.ID, "ending": ending(err)})
	}
}

func readAnswers(id string, stream quic.Stream) {
	for {
		answer, err := readFrame(stream)
		if err != nil {
			end := ending(err)
			end["id"] = id
			tell("ended", end)
			return
		}
		tell("answer", object{"id": id, "answer": answer})
	}
}
