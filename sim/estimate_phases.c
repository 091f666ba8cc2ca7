#include "sim/estimate_phases.h"

#include <math.h>
#include <string.h>

enum { CACHED = 16, ENDING = 4, LEAST_PART = 256, NO_ROOM = UINT32_MAX };

static const double WORTH = 1.25; /* last_s adds more than that to few: these are not looked at */

/* Rooms held from before a stage that end in it: the largest. */
typedef struct ending {
  uint32_t room[ENDING];
} ending;

/* What a knapsack of items (bytes, seconds) takes at most. */
typedef struct knapsack {
  double sum_s, density;
} knapsack;

typedef struct shares {
  uint64_t bytes, capacity;
  double f[ROOM_SHARES];
} shares;

typedef struct phases {
  const held *h;
  const stages *s;
  const dag *d;
  const double *best_s;
  const uint32_t *root;
  uint64_t capacity_B;
  size_t n_engines;
  double channels;
  uint64_t *first; /* by stage: its tasks are by_stage[first[j] .. first[j + 1] - 1], by id */
  uint32_t *by_stage;
  ending *ends;        /* by stage */
  uint64_t *through_B; /* by stage: held from before it to after it */
  uint8_t *before;     /* by task: bit i, a user of ends[stage].room[i] or before one */
  double *behind_s;    /* by room: of tasks that have it when R has ended */
  uint32_t *rooms;     /* with some */
  size_t n_rooms;
  double *short_s;        /* by task */
  uint64_t *seen, n_seen; /* by task: the last knapsack that its load was in */
  /* one stage's */
  uint32_t stage;
  uint64_t more_B; /* R */
  uint8_t r_bit;
  uint64_t least_B; /* beside any of its compute tasks that counts */
  shares cached[CACHED];
} phases;

static void sort_tasks(phases *x, arena *a) {
  const stages *s = x->s;
  size_t n = x->d->n_tasks;
  x->first = ARENA_NEW(a, uint64_t, s->n + 2);
  x->by_stage = ARENA_NEW(a, uint32_t, n + 1);
  for (size_t t = 0; t < n; t++)
    if (s->of[t] != STAGE_NONE) x->first[s->of[t] + 2]++;
  for (size_t j = 2; j < s->n + 2; j++) x->first[j] += x->first[j - 1];
  for (uint32_t t = 0; t < n; t++)
    if (s->of[t] != STAGE_NONE) x->by_stage[x->first[s->of[t] + 1]++] = t;
}

/* Keeps the largest, largest first. */
static void add_ending(phases *x, uint32_t stage, uint32_t room) {
  uint32_t *e = x->ends[stage].room;
  for (int i = 0; i < ENDING; i++) {
    if (e[i] != NO_ROOM && x->h->bytes[e[i]] >= x->h->bytes[room]) continue;
    uint32_t smaller = e[i];
    e[i] = room;
    room = smaller;
    if (room == NO_ROOM) return;
  }
}

static void find_ending(phases *x, arena *a) {
  const held *h = x->h;
  x->ends = ARENA_NEW(a, ending, x->s->n);
  x->through_B = ARENA_NEW(a, uint64_t, x->s->n + 1);
  memset(x->ends, 0xff, x->s->n * sizeof *x->ends);
  for (uint32_t r = 0; r < x->d->n_tensors; r++) {
    if (h->kind[r] != HELD_BESIDE || h->bytes[r] < x->capacity_B / LEAST_PART) continue;
    uint32_t lo = STAGE_NONE, hi = 0;
    for (uint64_t i = h->first[r]; i < h->first[r + 1]; i++) {
      uint32_t t = h->user[i];
      if (!x->s->fixed[t]) continue;
      if (lo == STAGE_NONE || x->s->of[t] < lo) lo = x->s->of[t];
      if (x->s->of[t] > hi) hi = x->s->of[t];
    }
    if (lo == STAGE_NONE || lo == hi) continue;
    add_ending(x, hi, r);
    x->through_B[lo + 1] += h->bytes[r]; /* wraps round where it falls, and is right in the sum */
    x->through_B[hi] -= h->bytes[r];
  }
  for (uint32_t j = 1; j < x->s->n; j++) x->through_B[j] += x->through_B[j - 1];
}

static void find_before(phases *x) {
  const ending *e = &x->ends[x->stage];
  for (int i = 0; i < ENDING && e->room[i] != NO_ROOM; i++)
    for (uint64_t k = x->h->first[e->room[i]]; k < x->h->first[e->room[i] + 1]; k++)
      if (x->s->of[x->h->user[k]] == x->stage) x->before[x->h->user[k]] |= (uint8_t)(1 << i);
  if (e->room[0] == NO_ROOM) return;
  for (uint64_t k = x->first[x->stage + 1]; k-- > x->first[x->stage];) {
    uint32_t t = x->by_stage[k];
    const uint32_t *deps = dag_deps(x->d, &x->d->tasks[t]);
    for (uint32_t i = 0; i < x->d->tasks[t].n_deps; i++)
      if (x->s->of[deps[i]] == x->stage) x->before[deps[i]] |= x->before[t];
  }
}

static bool is_load(const phases *x, uint32_t t) {
  return op_kind_of((op)x->d->tasks[t].op) == OP_LOAD;
}

/* The room that only the load and those it is for use; NO_ROOM. */
static uint32_t room_of_load(const phases *x, uint32_t t) {
  uint32_t r = x->root[dag_writes(x->d, &x->d->tasks[t])->tensor];
  bool counts = x->h->kind[r] == HELD_OWN || x->h->kind[r] == HELD_FED;
  return counts && x->h->user[x->h->first[r]] == t ? r : NO_ROOM;
}

/* Held while the task runs in its stage, own and fed rooms aside; with R too, where `with`. */
static uint64_t beside_B(const phases *x, uint32_t t, bool with) {
  uint64_t sum = x->h->beside_B[t] - x->h->fed_B[t];
  if (!x->s->fixed[t]) {
    sum = x->through_B[x->stage];
    for (int i = 0; i < ENDING; i++)
      if (x->before[t] & 1 << i) sum += x->h->bytes[x->ends[x->stage].room[i]];
  }
  return with && !(x->before[t] & x->r_bit) ? sum + x->more_B : sum;
}

static const double *shares_of(phases *x, uint64_t bytes, uint64_t beside) {
  uint64_t capacity = beside < x->capacity_B ? x->capacity_B - beside : 0;
  shares *c = &x->cached[(bytes * 31 + capacity) * 0x9e3779b97f4a7c15u >> 60];
  if (bytes == c->bytes && capacity == c->capacity) return c->f;
  c->bytes = bytes;
  c->capacity = capacity;
  for (uint64_t k = 0; k < ROOM_SHARES; k++) c->f[k] = room_share(bytes, capacity, k);
  return c->f;
}

/* A fed room in use: by all its users, which are in the stage. */
typedef struct used {
  double s;
  uint64_t beside_B; /* at least */
  bool before;       /* all are users of R or before one */
} used;

static used use_of(const phases *x, uint32_t room, bool with) {
  double longest = 0, sum = 0;
  used u = {.beside_B = UINT64_MAX, .before = true};
  uint64_t lo = x->h->first[room] + 1, hi = x->h->first[room + 1];
  bool one_group = true;
  for (uint64_t i = lo; i < hi; i++) {
    uint32_t t = x->h->user[i];
    if (!x->s->fixed[t] || x->s->of[t] != x->stage) return (used){0};
    uint32_t g = x->d->tasks[t].group;
    one_group = one_group && g != DAG_NO_GROUP && g == x->d->tasks[x->h->user[lo]].group;
    sum += x->best_s[t];
    longest = fmax(longest, x->best_s[t]);
    uint64_t b = beside_B(x, t, with);
    if (b < u.beside_B) u.beside_B = b;
    u.before = u.before && x->before[t] & x->r_bit;
  }
  u.s = one_group ? sum : fmax(longest, sum / (double)x->n_engines);
  return u;
}

static void knapsack_add(knapsack *k, double s, uint64_t bytes) {
  if (s <= 0) return;
  k->sum_s += s;
  k->density = fmax(k->density, s / (double)bytes);
}

static double knapsack_s(const knapsack *k, uint64_t bytes) {
  return fmin(k->sum_s, k->density * (double)bytes);
}

/* The sum of f(x) * seconds, less what is ahead. */
typedef struct area {
  double s[ROOM_SHARES], most[ROOM_SHARES]; /* by k; of a load */
  knapsack ahead[ROOM_SHARES];
} area;

static void add_share(phases *x, area *a, uint32_t t, uint64_t own, uint64_t beside) {
  const double *f = shares_of(x, own, beside);
  for (int k = 0; k < ROOM_SHARES; k++) {
    a->s[k] += f[k] * x->best_s[t];
    if (!x->s->fixed[t]) knapsack_add(&a->ahead[k], f[k] * x->best_s[t], own);
    if (is_load(x, t)) a->most[k] = fmax(a->most[k], f[k]);
  }
}

/* What a task of the stage counts for: bytes of rooms that are its own, or its load's; 0: nothing.
 */
static uint64_t counts_B(const phases *x, uint32_t t, uint32_t *room) {
  *room = is_load(x, t) ? room_of_load(x, t) : NO_ROOM;
  if (*room != NO_ROOM) return x->h->bytes[*room];
  return is_load(x, t) || !x->s->fixed[t] ? 0 : x->h->own_B[t];
}

static void find_least(phases *x, bool with) {
  x->least_B = UINT64_MAX;
  for (uint64_t i = x->first[x->stage]; i < x->first[x->stage + 1]; i++) {
    uint32_t room, t = x->by_stage[i];
    if (counts_B(x, t, &room) == 0) continue;
    uint64_t b = UINT64_MAX;
    if (room == NO_ROOM)
      b = beside_B(x, t, with);
    else if (x->h->kind[room] == HELD_FED)
      b = use_of(x, room, with).beside_B;
    if (b < x->least_B) x->least_B = b;
  }
}

static uint64_t beside_load_B(const phases *x, uint32_t t, bool with, bool least) {
  uint64_t b = beside_B(x, t, with);
  return least && x->least_B != UINT64_MAX && x->least_B > b ? x->least_B : b;
}

/* `least`: loads count with what is held beside any compute task. */
static area sum_stage(phases *x, bool with, bool least) {
  area a = {0};
  for (uint64_t i = x->first[x->stage]; i < x->first[x->stage + 1]; i++) {
    uint32_t room, t = x->by_stage[i];
    uint64_t own = counts_B(x, t, &room);
    if (own == 0) continue;
    add_share(x, &a, t, own, beside_load_B(x, t, with, least && room != NO_ROOM));
    if (room == NO_ROOM || x->h->kind[room] != HELD_FED) continue;
    used u = use_of(x, room, with);
    if (u.s == 0) continue;
    const double *f = shares_of(x, own, u.beside_B);
    for (int k = 0; k < ROOM_SHARES; k++) a.s[k] += f[k] * u.s;
  }
  return a;
}

/* A room that the task has when R has ended, if the task ends later: written before that. */
static uint32_t kept_room(const phases *x, uint32_t t) {
  const dag_view *v = dag_reads(x->d, &x->d->tasks[t]);
  uint32_t best = NO_ROOM;
  for (uint32_t i = 0; i < (uint32_t)x->d->tasks[t].n_reads + x->d->tasks[t].n_writes; i++) {
    if (x->d->tensors[v[i].tensor].space == DAG_DRAM) continue;
    uint32_t r = x->root[v[i].tensor], writer = x->h->user[x->h->first[r]];
    if (x->s->of[writer] != x->stage || !x->s->fixed[writer] || !(x->before[writer] & x->r_bit))
      continue;
    if (best == NO_ROOM || x->h->bytes[r] > x->h->bytes[best]) best = r;
  }
  return best;
}

/* Returns what has no such room. */
static double charge(phases *x, uint32_t t, double s) {
  if (s <= 0) return 0;
  uint32_t r = kept_room(x, t);
  if (r == NO_ROOM) return s;
  if (x->behind_s[r] == 0) x->rooms[x->n_rooms++] = r;
  x->behind_s[r] += s;
  return 0;
}

static double charge_fed(phases *x, uint32_t room, double s) {
  double rest = 0;
  for (uint64_t i = x->h->first[room] + 1; i < x->h->first[room + 1]; i++)
    if (!(x->before[x->h->user[i]] & x->r_bit)) rest = fmax(rest, charge(x, x->h->user[i], s));
  return rest;
}

/* What a load, with what it is for, or a task without one, counts too much if it ends after R. */
static double too_much_s(phases *x, uint32_t t, uint64_t own, int k, bool least, bool load) {
  double s = shares_of(x, own, beside_load_B(x, t, true, load && least))[k];
  s -= shares_of(x, own, beside_B(x, t, false))[k];
  return x->best_s[t] * s;
}

static double serial_too_much_s(phases *x, uint32_t t, uint64_t own, int k, bool least) {
  double s = x->best_s[t] * shares_of(x, own, beside_load_B(x, t, true, least))[k];
  uint32_t room = room_of_load(x, t), u = x->h->user[x->h->first[room] + 1];
  if (x->h->kind[room] != HELD_OWN || x->h->own_B[u] == 0 || x->h->fed_B[u] > 0 ||
      x->seen[u] == x->n_seen)
    return s;
  x->seen[u] = x->n_seen;
  double f = shares_of(x, x->h->own_B[u], beside_B(x, u, true))[k];
  return s - x->best_s[u] * (1 - f);
}

/* What counts too much of what ends after R. `serial`: its tasks run one after another. */
static double behind_s(phases *x, int k, bool least, bool serial, uint64_t left_B) {
  double rest = 0;
  x->n_rooms = 0;
  x->n_seen++;
  for (uint64_t i = x->first[x->stage]; i < x->first[x->stage + 1]; i++) {
    uint32_t room, t = x->by_stage[i];
    uint64_t own = counts_B(x, t, &room);
    if (own == 0 || x->before[t] & x->r_bit) continue;
    bool load = room != NO_ROOM, fed = load && x->h->kind[room] == HELD_FED;
    if (serial && !load) continue;
    double s =
        serial ? serial_too_much_s(x, t, own, k, least) : too_much_s(x, t, own, k, least, load);
    if (!fed) {
      rest += charge(x, load ? x->h->user[x->h->first[room] + 1] : t, s);
      continue;
    }
    used with = use_of(x, room, true), without = use_of(x, room, false);
    if (with.s > 0 && !serial) {
      s += with.s * shares_of(x, own, with.beside_B)[k];
      s -= with.s * shares_of(x, own, without.beside_B)[k];
    }
    rest += charge_fed(x, room, s);
  }
  knapsack kept = {0};
  for (size_t i = 0; i < x->n_rooms; i++) {
    knapsack_add(&kept, x->behind_s[x->rooms[i]], x->h->bytes[x->rooms[i]]);
    x->behind_s[x->rooms[i]] = 0;
  }
  return rest + knapsack_s(&kept, left_B);
}

static bool is_other(const phases *x, uint32_t t) {
  return !(x->before[t] & x->r_bit) && x->s->fixed[t] && x->s->of[t] == x->stage &&
         op_kind_of((op)x->d->tasks[t].op) == OP_COMPUTE;
}

/* What a task that runs after R, and nothing beside it, counts too little, its loads aside. */
static double short_s(phases *x, uint32_t t, int k, bool least) {
  if (x->h->fed_B[t] > 0) return 0;
  uint64_t own = x->h->own_B[t];
  double f = own > 0 ? shares_of(x, own, beside_B(x, t, true))[k] : 0, s = x->best_s[t] * (1 - f);
  const uint32_t *deps = dag_deps(x->d, &x->d->tasks[t]);
  for (uint32_t i = 0; i < x->d->tasks[t].n_deps; i++) {
    uint32_t room, u = deps[i];
    if (!is_load(x, u) || x->s->of[u] != x->stage || (own = counts_B(x, u, &room)) == 0) continue;
    s -= x->best_s[u] * shares_of(x, own, beside_load_B(x, u, true, least))[k];
  }
  return fmax(0, s);
}

/* What needs the last user of R runs after it; any user that no other follows may be the last.
 * Where all others run one after another, the least that these count too little. */
static double last_s(phases *x, int k, bool least) {
  double fewest = INFINITY;
  for (int pass = 0; pass < 3; pass++) {
    for (uint64_t i = x->first[x->stage]; i < x->first[x->stage + 1]; i++) {
      uint32_t t = x->by_stage[i];
      const uint32_t *deps = dag_deps(x->d, &x->d->tasks[t]);
      bool other = is_other(x, t), before = x->before[t] & x->r_bit;
      if (pass == 0) x->short_s[t] = 0;
      if (pass == 2 && before) fewest = fmin(fewest, x->short_s[t]);
      if (pass != 1 || (!other && !before)) continue;
      double s = before ? INFINITY : short_s(x, t, k, least); /* before: deps are not the last */
      for (uint32_t n = 0; n < x->d->tasks[t].n_deps; n++) x->short_s[deps[n]] += s;
    }
  }
  return fewest == INFINITY ? 0 : fewest;
}

typedef struct others {
  bool any, serial; /* tasks that are not before R's end; they are of one group */
} others;

static others others_of(const phases *x) {
  others o = {.serial = true};
  uint32_t group = DAG_NO_GROUP;
  for (uint64_t i = x->first[x->stage]; i < x->first[x->stage + 1]; i++) {
    uint32_t t = x->by_stage[i], g = x->d->tasks[t].group;
    if (!is_other(x, t)) continue;
    o.serial = o.serial && g != DAG_NO_GROUP && (!o.any || g == group);
    group = g;
    o.any = true;
  }
  return o;
}

/* What is free for others when R has ended: all its users have these beside them. */
static uint64_t left_B(const phases *x, int r) {
  uint8_t with = 0xff;
  const ending *e = &x->ends[x->stage];
  for (uint64_t k = x->h->first[e->room[r]]; k < x->h->first[e->room[r] + 1]; k++)
    if (x->s->of[x->h->user[k]] == x->stage) with &= x->before[x->h->user[k]];
  uint64_t held_B = x->through_B[x->stage];
  for (int i = 0; i < ENDING && e->room[i] != NO_ROOM; i++)
    if (with & 1 << i) held_B += x->h->bytes[e->room[i]];
  return held_B < x->capacity_B ? x->capacity_B - held_B : 0;
}

static double most_of(phases *x, bool with, const others *o, uint64_t ahead_B, uint64_t left,
                      double most) {
  find_least(x, with);
  for (int least = 0; least < 2; least++) {
    area a = sum_stage(x, with, least);
    for (int k = 0; k < ROOM_SHARES; k++) {
      if (least && a.most[k] * x->channels > 1 + 1e-12) continue;
      double s = a.s[k] - knapsack_s(&a.ahead[k], ahead_B), less = 0;
      if ((with && o->serial ? WORTH * s : s) <= most) continue;
      if (with) less = behind_s(x, k, least, false, left);
      if (with && o->serial)
        less = fmin(less, behind_s(x, k, least, true, left) - last_s(x, k, least));
      most = fmax(most, s - less);
    }
  }
  return most;
}

static double least_s(phases *x, uint64_t ahead_B) {
  const ending *e = &x->ends[x->stage];
  x->r_bit = 0;
  find_before(x);
  double most = most_of(x, false, NULL, ahead_B, 0, 0);
  for (int r = 0; r < ENDING && e->room[r] != NO_ROOM; r++) {
    x->r_bit = (uint8_t)(1 << r);
    x->more_B = x->h->bytes[e->room[r]];
    others o = others_of(x);
    if (o.any) return most_of(x, true, &o, ahead_B, left_B(x, r), most);
  }
  return most;
}

void phases_raise(const held *h, const stages *s, const platform *p, const dag *d,
                  const double *best_s, const uint32_t *root, stage_room *room) {
  arena scratch = {0};
  phases x = {.h = h, .s = s, .d = d, .best_s = best_s, .root = root, .n_engines = p->n_engines};
  x.capacity_B = (uint64_t)p->srams[0].capacity_B;
  for (size_t i = 0; i < p->n_dmas; i++) x.channels += (double)p->dmas[i].channels;
  x.before = ARENA_NEW(&scratch, uint8_t, d->n_tasks + 1);
  x.seen = ARENA_NEW(&scratch, uint64_t, d->n_tasks + 1);
  x.short_s = ARENA_NEW(&scratch, double, d->n_tasks + 1);
  x.behind_s = ARENA_NEW(&scratch, double, d->n_tensors + 1);
  x.rooms = ARENA_NEW(&scratch, uint32_t, d->n_tensors + 1);
  sort_tasks(&x, &scratch);
  find_ending(&x, &scratch);
  for (x.stage = 0; x.stage < s->n; x.stage++) {
    uint64_t held_B = x.stage > 0 ? room->held_B[x.stage - 1] : 0;
    uint64_t ahead_B = held_B < x.capacity_B ? x.capacity_B - held_B : 0;
    room->least_s[x.stage] = fmax(room->least_s[x.stage], least_s(&x, ahead_B));
  }
  arena_free(&scratch);
}
