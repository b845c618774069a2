/**
 * A child of the parent that says what the firewall says (src/parent/messages.ts) and does nothing.
 *
 * FAKE_CHILD names a directory. Its file `plan` is a list with an object for each child, in the order of their births: where it
 * ends or stands still (`at`, the name of an event), with which exit code or signal (`by`), whether it asks for an upgrade, and what
 * else it says first (`says`; a text goes into the channel as it is). What happens is appended to the file `events`, a line of JSON each.
 */
import { appendFileSync, existsSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Behind standard input, output and error. */
const channel = 3;
const directory = process.env.FAKE_CHILD;
const file = join(directory, 'events');
const birth = JSON.parse(process.env.TUNWALL_CHILD);
const before = existsSync(file) ? readFileSync(file, 'utf8').split('"born"').length - 1 : 0;
const plan = JSON.parse(readFileSync(join(directory, 'plan'), 'utf8'))[before] ?? {};

function happens(event, more = {}) {
  const atMs = Number(process.hrtime.bigint() / 1000n) / 1000;
  appendFileSync(
    file,
    `${JSON.stringify({ child: before, pid: process.pid, event, atMs, ...more })}\n`,
  );
  if (plan.at !== event) return;
  if (typeof plan.by === 'number') process.exit(plan.by);
  process.kill(process.pid, plan.by);
  // It comes at once, but nothing is to be said before.
  for (;;);
}

const answers = {
  close: () => process.send({ kind: 'closed' }),
  resume: () => undefined,
  refresh: () => process.send({ kind: 'refreshed' }),
  begin: ready,
  stop() {
    process.send({ kind: 'stopped', stoppedMs: Number(process.hrtime.bigint() / 1000n) / 1000 });
    process.disconnect();
  },
};

function ready() {
  process.send({ kind: 'ready' });
  if (plan.upgrades === true) process.send({ kind: 'upgrade' });
}

process.on('SIGTERM', () => process.exit(0));
process.on('message', (order) => {
  happens(order.kind, { order });
  answers[order.kind]();
});
happens('born', { birth });
for (const message of plan.says ?? []) {
  if (typeof message === 'string') writeSync(channel, message);
  else process.send(message);
}
if (birth.waits) process.send({ kind: 'prepared' });
else ready();
