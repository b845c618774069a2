/** The process around the service: signals, and the exit code. */
import { createLogger } from '../log/logger.ts';
import type { ObserveGateway } from './gateway-health.ts';
import { Service } from './service.ts';

export interface RunOptions {
  readonly configDirectory: string;
  readonly version: string;
  readonly observeGateway: ObserveGateway;
}

/**
 * Runs the firewall until SIGTERM or SIGINT (exit code 0). If it fails, the process ends on the spot (1). SIGHUP reads the
 * configuration again. Throws an error for the user if the start fails.
 */
export async function run(options: RunOptions): Promise<number> {
  try {
    await runUntilSignal(options);
    return 0;
  } catch (error) {
    // The caller reports the error first. Threads and sockets that could not be stopped must not keep the process alive.
    setImmediate(() => process.exit(process.exitCode ?? 1));
    throw error;
  }
}

async function runUntilSignal(options: RunOptions): Promise<void> {
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  // A signal that comes during the start ends the process as soon as there is something to stop.
  process.on('SIGTERM', finish);
  process.on('SIGINT', finish);
  // Without a handler the signal would end the process; a reload is part of the start anyway.
  const running: { service?: Service } = {};
  process.on('SIGHUP', () => running.service?.reload());
  const service = await Service.start({
    ...options,
    createLogger: (level) => createLogger(level),
    // No orderly stop: it would wait for threads, requests and files, and the failed part may block any of them.
    onFailure: () => process.exit(1),
  });
  running.service = service;
  await finished;
  await service.stop();
}
