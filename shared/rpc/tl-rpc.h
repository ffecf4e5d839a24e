/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The thin layer over gRPC core (notes: shape and measurements); one header an object, this one for everybody who uses
 * it. */
#include "rpc/tl-rpc-call.h"
#include "rpc/tl-rpc-client.h"
#include "rpc/tl-rpc-health.h"
#include "rpc/tl-rpc-identity.h"
#include "rpc/tl-rpc-loop.h"
#include "rpc/tl-rpc-server.h"
#include "rpc/tl-rpc-stream.h"
