/**
 * `tunwall top`: rates per server, per drop reason and per rule of a template, once a second.
 *
 * On a terminal it uses the alternate screen until q or Ctrl-C, and then restores the old content. Elsewhere it prints
 * one block after the other, or with `--json` one object per line.
 */
import type { StatsView } from './api-types.ts';
import { readEvents } from '../text/event-stream.ts';
import { Line } from '../text/line.ts';
import { clientCommand, clientVerb } from './client-verb.ts';
import type { ClientFlags } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { UserError } from './errors.ts';
import type { Output } from './output.ts';
import { parseNumber } from './option-values.ts';
import type { Verb } from './program.ts';
import { ratesBetween } from './top-rates.ts';
import type { Rates } from './top-rates.ts';
import { topLines } from './top-view.ts';
import type { ScreenSize } from './top-view.ts';

/** A terminal to draw on. */
export interface Screen {
  size(): ScreenSize;
  write(text: string): void;
  /** Calls `onKey` for each key; returns a function that unsubscribes. */
  readKeys(onKey: (key: string) => void): () => void;
  /** Calls `onResize` when the size has changed; returns a function that unsubscribes. */
  watchSize(onResize: () => void): () => void;
}

export interface TopActions {
  readonly connections: Connections;
  /** Absent where standard output is no terminal. */
  readonly screen: Screen | undefined;
  readonly interrupted: () => AbortSignal;
}

interface Flags extends ClientFlags {
  readonly count?: number;
  readonly plain?: boolean;
}

const enterScreen = '\x1b[?1049h\x1b[?25l';
const leaveScreen = '\x1b[?25h\x1b[?1049l';
const home = '\x1b[H';
const eraseLine = '\x1b[K';
const eraseBelow = '\x1b[J';
const controlC = '\x03';

export function topCommand({ connections, screen, interrupted }: TopActions): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    clientCommand(program, {
      usage: 'top',
      description:
        'what goes on right now: rates per server, per drop reason and per rule; q ends it.\n' +
        'Where standard output is no terminal, plain text.',
      examples: [
        ['tunwall top', 'once a second'],
        ['tunwall top --count 1 --json', 'the rates of one second, for a script'],
      ],
    })
      .option('--count <n>', 'end after so many looks', parseNumber('a number', 1))
      .option('--plain', 'plain text, also on a terminal')
      .action((flags: Flags) =>
        run(flags, async (client) => {
          const stop = new AbortController();
          const signal = AbortSignal.any([interrupted(), stop.signal]);
          const stream = await client.stream(
            '/stats',
            { rules: true },
            'text/event-stream',
            signal,
          );
          const drawsScreen = screen !== undefined && flags.json !== true && flags.plain !== true;
          const show = drawsScreen
            ? drawOn(screen, client.target, output, () => stop.abort())
            : printTo(output, client.target, flags.json === true);
          let before: StatsView | undefined;
          let looks = 0;
          try {
            for await (const { event, data } of readEvents(stream)) {
              if (event !== 'stats') continue;
              const stats = JSON.parse(data) as StatsView;
              if (before !== undefined) {
                show.rates(ratesBetween(before, stats));
                if (++looks === flags.count) return;
              }
              before = stats;
            }
            if (!signal.aborted) {
              throw new UserError('the firewall has ended the stream', 'has it stopped?');
            }
          } catch (error) {
            if (!signal.aborted) throw error;
          } finally {
            show.end();
          }
        }),
      );
  });
}

interface Show {
  rates(rates: Rates): void;
  end(): void;
}

function printTo(output: Output, target: string, json: boolean): Show {
  let first = true;
  return {
    rates(rates) {
      if (json) {
        output.print(JSON.stringify(rates));
        return;
      }
      if (!first) output.print('');
      first = false;
      output.print(topLines(rates, target, (_, text) => Line.of(text)));
    },
    end: () => undefined,
  };
}

function drawOn(screen: Screen, target: string, output: Output, quit: () => void): Show {
  const style: Output['style'] = (colour, text) => output.style(colour, text);
  let last: Rates | undefined;
  const draw = (): void => {
    const lines =
      last === undefined
        ? [Line.of('the first rates are there in a second')]
        : topLines(last, target, style, screen.size());
    // Overwrites line by line: erasing the screen first would flicker.
    screen.write(
      home + lines.map(({ coloured }) => `${coloured}${eraseLine}\r\n`).join('') + eraseBelow,
    );
  };
  screen.write(enterScreen);
  const stopKeys = screen.readKeys((key) => {
    if (key === 'q' || key === 'Q' || key === controlC) quit();
  });
  const stopSize = screen.watchSize(draw);
  draw();
  return {
    rates(rates) {
      last = rates;
      draw();
    },
    end() {
      stopKeys();
      stopSize();
      screen.write(leaveScreen);
    },
  };
}
