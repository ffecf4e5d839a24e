/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-result-tree.h"

#include <string.h>

enum
{
  SIDE_LEFT = 0,
  SIDE_RIGHT = 1,
};

static void
join (const guint8 *left, const guint8 *right, guint8 *out)
{
  g_autoptr (TlTranscript) transcript = tl_transcript_new ("results-node");

  tl_transcript_add (transcript, left, TL_SHA256_LENGTH);
  tl_transcript_add (transcript, right, TL_SHA256_LENGTH);
  tl_transcript_hash (transcript, out);
}

static void
add_step (TlResultProof *proof, guint8 side, const TlResultLeaf *other)
{
  g_assert (proof->length + TL_RESULT_TREE_STEP <= sizeof proof->steps);
  proof->steps[proof->length] = side;
  memcpy (proof->steps + proof->length + 1, other->hash, sizeof other->hash);
  proof->length += TL_RESULT_TREE_STEP;
}

/* One level up. `width` leaves are below each node of this level. */
static guint
climb_level (TlResultLeaf *nodes, guint count, guint width, guint n, TlResultProof *proofs)
{
  guint above = 0;

  for (guint i = 0; i < count; i += 2, above++)
    {
      TlResultLeaf left = nodes[i];

      if (i + 1 == count)
        {
          nodes[above] = left;
          continue;
        }
      for (guint leaf = i * width; leaf < MIN ((i + 2) * width, n); leaf++)
        {
          gboolean is_left = leaf < (i + 1) * width;

          add_step (&proofs[leaf], is_left ? SIDE_RIGHT : SIDE_LEFT, is_left ? &nodes[i + 1] : &left);
        }
      join (left.hash, nodes[i + 1].hash, nodes[above].hash);
    }
  return above;
}

void
tl_result_tree_build (const TlResultLeaf *leaves, guint n, TlResultProof *proofs, TlResultLeaf *root)
{
  TlResultLeaf nodes[TL_RESULT_TREE_MAX_LEAVES];
  guint count = n;

  g_assert (n >= 1 && n <= TL_RESULT_TREE_MAX_LEAVES);
  memcpy (nodes, leaves, n * sizeof *leaves);
  for (guint i = 0; i < n; i++)
    proofs[i].length = 0;
  for (guint width = 1; count > 1; width *= 2)
    count = climb_level (nodes, count, width, n, proofs);
  *root = nodes[0];
}

gboolean
tl_result_tree_climb (const TlResultLeaf *leaf, const guint8 *steps, gsize length, TlResultLeaf *root)
{
  TlResultLeaf at = *leaf;

  if (length > TL_RESULT_TREE_MAX_PROOF || length % TL_RESULT_TREE_STEP != 0)
    return FALSE;
  for (const guint8 *step = steps; step < steps + length; step += TL_RESULT_TREE_STEP)
    {
      if (step[0] == SIDE_LEFT)
        join (step + 1, at.hash, at.hash);
      else if (step[0] == SIDE_RIGHT)
        join (at.hash, step + 1, at.hash);
      else
        return FALSE;
    }
  *root = at;
  return TRUE;
}
