#include <string.h>

#include "sim/cmd.h"
#include "workloads/model.h"

/* The commands that list what is built in, and help. */

static void print_schedulers(out *o) {
  for (size_t i = 0; i < pol_count(); i++)
    out_printf(o, "%-8s %s\n", pol_at(i)->name, pol_at(i)->text);
}

int cmd_schedulers(const cli *c, arena *a, err *e) {
  (void)c, (void)a;
  CMD_PRINT(print_schedulers(o));
}

static void print_ops(out *o) {
  for (int i = 0; i < OP_COUNT; i++)
    out_printf(o, "%-12s %-8s %-7s %s\n", op_name((op)i), op_kind_name(op_kind_of((op)i)),
               op_class((op)i), op_text((op)i));
}

int cmd_ops(const cli *c, arena *a, err *e) {
  (void)c, (void)a;
  CMD_PRINT(print_ops(o));
}

int cmd_models(const cli *c, arena *a, err *e) {
  (void)c, (void)a;
  out *o = out_print(e);
  if (o == NULL) return e->status;
  if (model_print_list(o, e) == ERR_OK) return out_close(o, e);
  out_abort(o);
  return e->status;
}

/* ---- help -------------------------------------------------------------------------------------
 */

static const char EXIT_STATUS[] =
    "Exit status: 0 done; 1 the answer is no (it cannot run on this platform, runs differ); 2 bad\n"
    "usage or bad input; 3 internal error.\n";

enum { HELP_COLUMN = 28, HELP_WIDTH = 98 };

/* Words of `text` from column HELP_COLUMN on, where the first line already stands at column `at`.
 */
static void print_wrapped(out *o, const char *text, size_t at) {
  while (*text != '\0') {
    size_t n = strcspn(text, " ");
    bool fits = at + n < HELP_WIDTH;
    if (at < HELP_COLUMN || !fits) {
      if (!fits) out_char(o, '\n');
      out_printf(o, "%*s", (int)(HELP_COLUMN - (fits ? at : 0)), "");
      at = HELP_COLUMN;
    } else if (at > HELP_COLUMN) {
      out_char(o, ' ');
      at++;
    }
    out_write(o, text, n);
    at += n;
    text += n;
    text += *text == ' ';
  }
  out_char(o, '\n');
}

static void print_option(out *o, const cli_option *x, arena *a) {
  const char *head = arena_printf(a, "  --%s%s%s", x->name, *x->value != '\0' ? " " : "", x->value);
  const char *text = x->help;
  if (*x->standard != '\0') text = arena_printf(a, "%s (default: %s)", text, x->standard);
  out_str(o, head);
  bool wide = strlen(head) >= HELP_COLUMN; /* its text begins on a line of its own */
  if (wide) out_char(o, '\n');
  print_wrapped(o, text, wide ? 0 : strlen(head));
}

static void print_command(out *o, const cli_command *k, arena *a) {
  bool options = k->options[0] != CLI_OPT_COUNT;
  out_printf(o, "Usage: llamasim %s%s%s%s\n\n%s: %s.\n", k->name, *k->operand != '\0' ? " " : "",
             k->operand, options ? " [options]" : "", k->name, k->text);
  if (*k->more != '\0') out_printf(o, "%s\n", k->more);
  if (options) out_str(o, "\nOptions:\n");
  for (const cli_opt *x = k->options; *x != CLI_OPT_COUNT; x++)
    print_option(o, cli_option_at(*x), a);
  out_printf(o, "\nExample:\n  %s\n\n%s", k->example, EXIT_STATUS);
}

static void print_commands(out *o) {
  out_str(
      o,
      "Usage: llamasim COMMAND [options]\n\n"
      "Simulates a LLaMA model on an accelerator that a platform file describes.\n\nCommands:\n");
  for (const cli_command *k = CLI_COMMANDS; k->name != NULL; k++)
    out_printf(o, "  %-11s %s\n", k->name, k->text);
  out_printf(o,
             "\n`llamasim help COMMAND` prints the options of a command, `llamasim --version` the "
             "version.\n\n%s",
             EXIT_STATUS);
}

int cmd_help(const cli *c, arena *a, err *e) {
  const cli_command *k = c->command;
  if (!c->given[CLI_HELP]) k = c->operand == NULL ? NULL : cli_find_command(c->operand);
  if (k == NULL && c->operand != NULL)
    return err_set(e, ERR_BAD, "unknown command '%s'; `llamasim help` lists the commands",
                   c->operand);
  if (k == NULL) CMD_PRINT(print_commands(o));
  CMD_PRINT(print_command(o, k, a));
}
