// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"

	"github.com/lucas-clemente/quic-go"
)

const maxFrame = 524288

// writeFrame sends a 4-byte big-endian length and the JSON of value, in two writes so that a peer sees them apart.
func writeFrame(stream quic.SendStream, value interface{}) error {
	text, err := json.Marshal(value)
	fail(err)
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(text)))
	if _, err = stream.Write(length[:]); err == nil {
		_, err = stream.Write(text)
	}
	return err
}

// readFrame returns io.EOF only between two frames.
func readFrame(stream quic.ReceiveStream) (object, error) {
	var length [4]byte
	if _, err := io.ReadFull(stream, length[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size == 0 || size > maxFrame {
		return nil, errors.New("a frame of a length that is not allowed")
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(stream, text); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	var value object
	return value, json.Unmarshal(text, &value)
}

// ending describes how a stream or a connection ended: who, which kind of code, which code.
func ending(err error) object {
	var application *quic.ApplicationError
	var transport *quic.TransportError
	var stream *quic.StreamError
	var idle *quic.IdleTimeoutError
	var handshake *quic.HandshakeTimeoutError
	var reset *quic.StatelessResetError
	var version *quic.VersionNegotiationError

	said := ""
	if err != nil && err != io.EOF {
		said = err.Error()
	}
	switch {
	case err == nil || err == io.EOF:
		return object{"kind": "finished", "code": 0}
	case errors.As(err, &application):
		return object{"kind": "application", "code": uint64(application.ErrorCode), "remote": application.Remote,
			"reason": application.ErrorMessage}
	case errors.As(err, &transport):
		kind, code := "transport", uint64(transport.ErrorCode)
		if transport.ErrorCode.IsCryptoError() {
			kind = "tls"
		}
		return object{"kind": kind, "code": code, "remote": transport.Remote, "reason": transport.ErrorMessage}
	case errors.As(err, &stream):
		return object{"kind": "stream", "code": uint64(stream.ErrorCode)}
	case errors.As(err, &idle):
		return object{"kind": "idle", "code": 0}
	case errors.As(err, &handshake):
		return object{"kind": "handshake_timeout", "code": 0}
	case errors.As(err, &reset):
		return object{"kind": "stateless_reset", "code": 0}
	case errors.As(err, &version):
		theirs := []string{}
		for _, v := range version.Theirs {
			theirs = append(theirs, v.String())
		}
		return object{"kind": "version", "code": 0, "theirs": theirs}
	}
	return object{"kind": "other", "code": 0, "reason": said}
}
