/** For every entry of explained.ts a conversation that shows the difference, as small as it can be. */
import type { Changes, Conversation, Step } from './conversation.ts';
import { allowedPorts, stepOf, usualSettings } from './conversation.ts';
import { synOptions } from './tcp-talk.ts';

const syn = stepOf('opener', 'tcp', { flags: 'S', seq: 100 });
const synAck = stepOf('responder', 'tcp', { flags: 'SA', seq: 300, ack: 101 });
const ack = stepOf('opener', 'tcp', { flags: 'A', seq: 101, ack: 301 });

function tcp(...steps: Step[]): Conversation {
  return { settings: usualSettings, place: 'outside', port: allowedPorts.outside.tcp, steps };
}

function pickedUp(...steps: Step[]): Conversation {
  return { ...tcp(...steps), settings: { ...usualSettings, loose: true } };
}

function udp(...steps: Step[]): Conversation {
  return { settings: usualSettings, place: 'outside', port: allowedPorts.outside.udp, steps };
}

/** An error about the opener's SYN. */
function errorAboutSyn(given: Changes, quote: Changes = {}): Step {
  return stepOf('responder', 'error', {
    type: 3,
    code: 1,
    keep: 28,
    quote: { ...syn.base, ...quote },
    ...given,
  });
}

function changed(step: Step, changes: Changes): Step {
  return { base: step.base, changes };
}

/** Pieces of these lengths; all but the last say that more follow. */
function pieces(...lengths: number[]): Changes {
  let offset = 0;
  return {
    pieces: lengths.map((length, at) => {
      const piece = { offset, length, more: at < lengths.length - 1 };
      offset += length & ~7;
      return piece;
    }),
  };
}

export const examples: Readonly<Record<string, Conversation>> = {
  'quoted-sequence': tcp(syn, errorAboutSyn({}, { seq: 5_000_000 })),
  'short-quote': tcp(syn, errorAboutSyn({ keep: 24 })),
  'quoted-version': tcp(syn, errorAboutSyn({}, { version: 6 })),
  redirect: tcp(syn, errorAboutSyn({ type: 5 })),
  'source-quench': tcp(syn, errorAboutSyn({ type: 4, code: 0 })),
  'tiny-fragment': tcp(changed(syn, pieces(8, 12))),
  'many-fragments': udp(
    changed(
      stepOf('opener', 'udp', { length: 8 * 64 }),
      pieces(...Array.from({ length: 65 }, () => 8)),
    ),
  ),
  'odd-fragment': udp(
    changed(
      stepOf('opener', 'udp', { length: 24, checksum: 'none', udpLength: 32 }),
      pieces(19, 16),
    ),
  ),
  'tcp-options': tcp(changed(syn, { options: [2, 40, 0, 0] })),
  'syn-without-options': tcp(
    changed(syn, { options: synOptions({ sack: true }) }),
    changed(syn, { seq: 110 }),
    // A SACK of what was never sent: an end without SACK ignores it.
    changed(synAck, { ack: 111, options: [1, 1, 5, 10, 0, 0, 1, 0, 0, 0, 2, 0] }),
  ),
  'syn-anew': tcp(changed(syn, { seq: 1_000_000 }), syn, synAck),
  'reset-of-before': tcp(syn, stepOf('responder', 'tcp', { flags: 'R', seq: 7000 }), synAck),
  'answer-of-before': tcp(
    syn,
    changed(synAck, { seq: 70_000, ack: 9000 }),
    synAck,
    stepOf('opener', 'tcp', { flags: 'A', seq: 101, ack: 301 }),
  ),
  'syn-after-reset': tcp(
    syn,
    synAck,
    stepOf('opener', 'tcp', { flags: 'RA', seq: 101, ack: 301 }),
    ack,
    changed(syn, { seq: 5000 }),
  ),
  'picked-up-unanswered': pickedUp(ack),
  'picked-up-begun-again': pickedUp(
    ack,
    changed(syn, { seq: 5000 }),
    changed(synAck, { seq: 9000, ack: 5001 }),
    stepOf('responder', 'tcp', { flags: 'A', seq: 2_000_000, ack: 5001 }),
  ),
  land: tcp(changed(syn, { src: '10.0.0.2' })),
  martian: tcp(changed(syn, { src: '240.0.0.1' })),
  'security-option': tcp(changed(syn, { ipOptions: [134, 7, 3, 9, 1, 8, 6, 0] })),
  'udp-surplus': udp(stepOf('opener', 'udp', { length: 8, udpLength: 12 })),
  'tracked-before-dropped': tcp(
    syn,
    synAck,
    changed(ack, { ipOptions: [131, 7, 4, 10, 0, 0, 9, 0] }),
  ),
};
