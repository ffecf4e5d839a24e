// SPDX-License-Identifier: Apache-2.0

// An independent gRPC client: health over TLS, then NodeService, which it must not get.
// health ADDRESS CA.pem SERVER-NAME [DEVICE.pem]
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/ioutil"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func main() {
	ca, err := ioutil.ReadFile(os.Args[2])
	fail(err)
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: os.Args[3]}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		fail(fmt.Errorf("no certificate in %s", os.Args[2]))
	}
	if len(os.Args) > 4 {
		pair, err := tls.LoadX509KeyPair(os.Args[4], os.Args[4])
		fail(err)
		config.Certificates = []tls.Certificate{pair}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	connection, err := grpc.DialContext(ctx, os.Args[1], grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithBlock(),
		grpc.WithReturnConnectionError())
	fail(err)
	defer connection.Close()

	answer, err := grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	fail(err)
	fmt.Println("health:", answer.GetStatus())

	// An empty message of any type is an empty RegisterNodeRequest on the wire.
	var trailer metadata.MD
	err = connection.Invoke(ctx, "/twinlatch.v1.NodeService/RegisterNode", &grpc_health_v1.HealthCheckRequest{},
		&grpc_health_v1.HealthCheckResponse{}, grpc.Trailer(&trailer))
	reason := ""
	if values := trailer.Get("twinlatch-reason"); len(values) > 0 {
		reason = values[0]
	}
	fmt.Println("register:", status.Code(err), reason)
}
