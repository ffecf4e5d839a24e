/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/node/tl-capability-builtin.h"
#include "agent/node/tl-process.h"
#include "base/tl-error.h"

#define MAX_ARGUMENTS 256
#define SCHEMA_MAX    4096 /* as the gateway's limit for a schema */
#define ANSWER_SPARE  64   /* bytes by which an answer may turn out longer than it was estimated */

/* process.run: not idempotent, so that it is recorded before it runs and never runs twice (PROTOCOL 4.1). */
typedef struct
{
  TlCapability capability; /* the schema names this node's programs */
  char *input_schema;
  GPtrArray *programs; /* TlNodeProgram */
} ProcessRun;

static void
process_run_free (gpointer data)
{
  ProcessRun *self = data;

  g_free (self->input_schema);
  g_ptr_array_unref (self->programs);
  g_free (self);
}

static const TlNodeProgram *
find_program (const ProcessRun *self, const json_t *input, GError **error)
{
  const char *name;

  if (!tl_json_get_string (input, "program", TRUE, &name, error))
    return NULL;
  for (guint i = 0; i < self->programs->len; i++)
    if (g_str_equal (((TlNodeProgram *)self->programs->pdata[i])->name, name))
      return self->programs->pdata[i];
  g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "this node has no program \"%.64s\"", name);
  return NULL;
}

/* The command of node.conf, then what the request adds. */
static GPtrArray *
make_arguments (const TlNodeProgram *program, const json_t *input, GError **error)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  const json_t *more = json_object_get (input, "arguments");
  const json_t *argument;
  size_t i;

  for (char **word = program->command; *word != NULL; word++)
    g_ptr_array_add (argv, *word);
  if (more != NULL && !json_is_array (more))
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "\"arguments\" has to be a list of strings");
  else if (json_array_size (more) > 0 && !program->appends_arguments)
    g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, "program \"%s\" takes no arguments", program->name);
  else if (json_array_size (more) > MAX_ARGUMENTS)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "more than %d arguments", MAX_ARGUMENTS);
  else
    {
      json_array_foreach (more, i, argument)
      {
        if (!json_is_string (argument) || strlen (json_string_value (argument)) != json_string_length (argument))
          {
            g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "\"arguments\" has to be a list of strings");
            return NULL;
          }
        g_ptr_array_add (argv, (char *)json_string_value (argument));
      }
      g_ptr_array_add (argv, NULL);
      return g_steal_pointer (&argv);
    }
  return NULL;
}

/* A character that a cut went through does not count against UTF-8. */
static gboolean
is_text (const GByteArray *bytes, gboolean truncated)
{
  const char *end = NULL;

  if (bytes->len == 0 || g_utf8_validate ((const char *)bytes->data, bytes->len, &end))
    return TRUE;
  return truncated && (const char *)bytes->data + bytes->len - end < 4 && memchr (bytes->data, 0, bytes->len) == NULL
         && g_utf8_get_char_validated (end, (const char *)bytes->data + bytes->len - end) == (gunichar)-2;
}

/* At most max bytes of it, whole characters when it is text. */
static json_t *
stream_value (const GByteArray *bytes, gsize max, gboolean text)
{
  gsize length = MIN (bytes->len, max);
  g_autofree char *encoded = NULL;
  const char *end = NULL;

  if (length == 0)
    return json_string ("");
  if (text)
    {
      g_utf8_validate ((const char *)bytes->data, length, &end);
      return json_stringn ((const char *)bytes->data, (size_t)(end - (const char *)bytes->data));
    }
  encoded = g_base64_encode (bytes->data, length);
  return json_string (encoded);
}

static json_t *
make_answer (const TlProcessResult *result, gsize max)
{
  gboolean text
      = is_text (result->output, result->output_truncated) && is_text (result->errors, result->errors_truncated);
  json_t *answer = json_pack ("{s:o, s:o, s:s, s:s, s:b, s:b}", "exit_status",
                              result->exit_status >= 0 ? json_integer (result->exit_status) : json_null (), "signal",
                              result->signal > 0 ? json_integer (result->signal) : json_null (), "encoding",
                              text ? "utf-8" : "base64", "stdout", "", "stdout_truncated",
                              result->output_truncated || result->output->len > max, "stderr_truncated",
                              result->errors_truncated || result->errors->len > max);

  json_object_set_new (answer, "stdout", stream_value (result->output, max, text));
  json_object_set_new (answer, "stderr", stream_value (result->errors, max, text));
  return answer;
}

/* What the request allows is the length of the JSON, in which a byte can become six: the limit of each stream shrinks
 * by as much as the answer was too long, until it fits. */
static json_t *
fit_answer (const TlProcessResult *result, gsize max_answer, GError **error)
{
  gsize max = max_answer;

  for (;;)
    {
      tl_json_auto answer = make_answer (result, max);
      gsize length = json_dumpb (answer, NULL, 0, JSON_COMPACT);

      if (length <= max_answer)
        return g_steal_pointer (&answer);
      if (max == 0)
        break;
      max = MIN (max, MAX (result->output->len, result->errors->len));
      max = (gsize)((double)max * (double)max_answer / (double)(length + ANSWER_SPARE));
    }
  g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
               "the program ran, but the request's limit of %zu bytes has no room for an answer", max_answer);
  return NULL;
}

static json_t *
process_run (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  const ProcessRun *self = data;
  const TlNodeProgram *program = find_program (self, input, error);
  g_autoptr (GPtrArray) argv = program != NULL ? make_arguments (program, input, error) : NULL;
  g_auto (TlProcessResult) result = { 0 };
  const char *text = NULL;
  TlProcessOptions options;

  if (argv == NULL || !tl_json_get_string (input, "stdin", FALSE, &text, error))
    return NULL;
  options = (TlProcessOptions){ .argv = (const char *const *)argv->pdata,
                                .directory = program->directory,
                                .input = text != NULL ? text : "",
                                .timeout_ms = program->timeout_ms,
                                .max_output = tl_capability_call_max_output (call) };
  if (!tl_process_run (&options, call, &result, error))
    return NULL;
  return fit_answer (&result, tl_capability_call_max_output (call), error);
}

static char *
make_schema (const GPtrArray *programs)
{
  tl_json_auto choices = json_array ();
  tl_json_auto schema = NULL;
  g_autofree char *text = NULL;

  for (guint i = 0; i < programs->len; i++)
    {
      const TlNodeProgram *program = programs->pdata[i];

      json_array_append_new (choices, json_pack ("{s:s, s:s}", "const", program->name, "description",
                                                 program->description != NULL ? program->description : ""));
    }
  schema = json_pack ("{s:s, s:{s:{s:O}, s:{s:s, s:{s:s}}, s:{s:s}}, s:[s]}", "type", "object", "properties", "program",
                      "oneOf", choices, "arguments", "type", "array", "items", "type", "string", "stdin", "type",
                      "string", "required", "program");
  text = tl_json_to_string (schema);
  if (strlen (text) <= SCHEMA_MAX)
    return g_steal_pointer (&text);
  json_object_set_new (json_object_get (schema, "properties"), "program", json_pack ("{s:s}", "type", "string"));
  return tl_json_to_string (schema);
}

void
tl_capability_add_process (TlCapabilitySet *set, const TlNodeConfig *config)
{
  ProcessRun *self = g_new0 (ProcessRun, 1);

  self->programs = g_ptr_array_ref (config->programs);
  self->input_schema = make_schema (self->programs);
  self->capability = (TlCapability){ .name = TL_CAPABILITY_PROCESS_RUN,
                                     .description = "Runs a program that this node's configuration allows by name.",
                                     .input_schema = self->input_schema,
                                     .output_schema
                                     = "{\"type\":\"object\",\"properties\":{\"exit_status\":{\"type\":[\"integer\","
                                       "\"null\"]},\"signal\":{\"type\":[\"integer\",\"null\"]},\"encoding\":{\"enum\":"
                                       "[\"utf-8\",\"base64\"]},\"stdout\":{\"type\":\"string\"},\"stderr\":{\"type\":"
                                       "\"string\"},\"stdout_truncated\":{\"type\":\"boolean\"},\"stderr_truncated\":"
                                       "{\"type\":\"boolean\"}}}",
                                     .func = process_run };
  tl_capability_set_add (set, &self->capability, self, process_run_free,
                         self->programs->len > 0 ? NULL : "no programs are configured");
}
