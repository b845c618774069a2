#!/usr/bin/env node
/**
 * The `tunwall` command: the only place where all of it is put together. Everything here is wiring;
 * what a verb does is in the folder that its action comes from.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { UserError } from './cli/errors.ts';
import { gatewayCommand } from './cli/gateway-command.ts';
import { createOutput } from './cli/output.ts';
import { runProgram } from './cli/program.ts';
import { defaultDevice, gatewayDown, gatewayStatus, gatewayUp } from './gateway/gateway.ts';

/** package.json lies one folder above this file, both in src/ and in dist/. */
function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The device of DIR/gateway.yaml; without that file, or without `device` in it, the default. */
async function configuredDevice(directory: string): Promise<string> {
  const file = join(directory, 'gateway.yaml');
  try {
    const config: unknown = parse(await readFile(file, 'utf8'));
    const device = (config as { device?: unknown } | null)?.device ?? defaultDevice;
    if (typeof device === 'string') return device;
    throw new Error('device: expected the name of an interface');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return defaultDevice;
    throw new UserError(`${file}: ${message}`, 'see all that is wrong: tunwall check', {
      cause: error,
    });
  }
}

// `tunwall … | head`: the reader has what it wanted.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}

process.exitCode = await runProgram(process.argv.slice(2), {
  version: readVersion(),
  output: createOutput(process.stdout, process.stderr, process.env),
  verbs: [
    gatewayCommand({
      up: gatewayUp,
      down: gatewayDown,
      status: gatewayStatus,
      configuredDevice,
    }),
  ],
});
