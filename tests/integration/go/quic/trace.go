// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"

	"github.com/lucas-clemente/quic-go/logging"
)

// tracer prints what the API of quic-go does not say: Retry, version negotiation, the confirmation of the handshake, and
// what a handshake failed of.
type tracer struct{ logging.NullTracer }

func (tracer) TracerForConnection(context.Context, logging.Perspective, logging.ConnectionID) logging.ConnectionTracer {
	return connectionTracer{}
}

func (tracer) SentPacket(to net.Addr, header *logging.Header, size logging.ByteCount, frames []logging.Frame) {
	tell("sent", object{"type": packetType(header), "bytes": int64(size)})
}

func packetType(header *logging.Header) string {
	switch logging.PacketTypeFromHeader(header) {
	case logging.PacketTypeRetry:
		return "retry"
	case logging.PacketTypeVersionNegotiation:
		return "version_negotiation"
	case logging.PacketTypeInitial:
		return "initial"
	}
	return "other"
}

type connectionTracer struct{ logging.NullConnectionTracer }

func (connectionTracer) ReceivedRetry(*logging.Header) {
	tell("retry", nil)
}

func (connectionTracer) ReceivedVersionNegotiationPacket(header *logging.Header, versions []logging.VersionNumber) {
	theirs := []uint32{}
	for _, v := range versions {
		theirs = append(theirs, uint32(v))
	}
	tell("version_negotiation", object{"theirs": theirs})
}

func (connectionTracer) NegotiatedVersion(chosen logging.VersionNumber, clients, servers []logging.VersionNumber) {
	tell("version", object{"version": uint32(chosen)})
}

func (connectionTracer) DroppedEncryptionLevel(level logging.EncryptionLevel) {
	if level == logging.EncryptionHandshake {
		tell("confirmed", nil)
	}
}

// Also of connections whose handshake failed, which quic-go's listener never speaks of.
func (connectionTracer) ClosedConnection(err error) {
	tell("over", ending(err))
}
