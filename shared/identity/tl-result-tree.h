/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "crypto/tl-hash.h"

G_BEGIN_DECLS

/*
 * TlResultTree: many results under one signature (data/doc/protocol.md, Receipts). A binary hash tree over leaves of 32
 * bytes; inner = H (T ("results-node"; left, right)), a node without a neighbour goes up as it is. Each leaf gets a
 * proof: from the leaf upwards for each step the side of the other (0 left, 1 right) and its hash. Leaves are hashes of
 * transcripts with another purpose, so that no inner node can be taken for one. Pure. Thread: any.
 */
#define TL_RESULT_TREE_MAX_LEAVES 256
#define TL_RESULT_TREE_STEP       (1 + TL_SHA256_LENGTH)
#define TL_RESULT_TREE_MAX_PROOF  (8 * TL_RESULT_TREE_STEP) /* of 256 leaves */

typedef struct
{
  guint8 hash[TL_SHA256_LENGTH];
} TlResultLeaf;

typedef struct
{
  gsize length; /* bytes; 0: the leaf is the root */
  guint8 steps[TL_RESULT_TREE_MAX_PROOF];
} TlResultProof;

/* n leaves in 1..TL_RESULT_TREE_MAX_LEAVES; proofs: n of them, filled in. */
void tl_result_tree_build (const TlResultLeaf *leaves, guint n, TlResultProof *proofs, TlResultLeaf *root);
/* The root that the proof leads to; FALSE when it is malformed or too long. */
gboolean tl_result_tree_climb (const TlResultLeaf *leaf, const guint8 *steps, gsize length, TlResultLeaf *root);

G_END_DECLS
