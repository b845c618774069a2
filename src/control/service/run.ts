/** The process around the service, child of the one that holds the device: signals, orders, and the exit code. */
import { sharedClockMs } from '../../parent/messages.ts';
import type { Order } from '../../parent/messages.ts';
import { keepLittleMemory } from '../../system/frugal-memory.ts';
import { openLog } from '../log/logger.ts';
import type { ObserveGateway } from './gateway-health.ts';
import { Lineage } from './lineage.ts';
import { ParentLink } from './parent-link.ts';
import { Service } from './service.ts';

export interface RunOptions {
  readonly configDirectory: string;
  readonly version: string;
  readonly loadGatewayObserver: () => Promise<ObserveGateway>;
}

/**
 * Runs the firewall until SIGTERM or SIGINT, or until the next process takes over (exit code 0). If it fails, the process ends on
 * the spot (1). SIGHUP reads the configuration again. Throws an error for the user if the start fails.
 */
export async function run(options: RunOptions): Promise<number> {
  const link = new ParentLink();
  try {
    await runUntilEnd(options, link);
    link.close();
    return 0;
  } catch (error) {
    link.report({ kind: 'failed', reason: (error as Error).message });
    // The caller reports the error first. Threads and sockets that could not be stopped must not keep the process alive.
    setImmediate(() => process.exit(process.exitCode ?? 1));
    throw error;
  }
}

async function runUntilEnd(options: RunOptions, link: ParentLink): Promise<void> {
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  // A signal that comes during the start ends the process as soon as there is something to stop.
  process.on('SIGTERM', finish);
  process.on('SIGINT', finish);
  // Without a handler the signal would end the process; a reload is part of the start anyway.
  const running: { service?: Service } = {};
  process.on('SIGHUP', () => running.service?.reload());
  const { birth } = link;
  keepLittleMemory();
  const createLogger = await openLog();
  const service = await Service.prepare({
    ...options,
    createLogger,
    descriptors: link.descriptors,
    lineage: new Lineage(birth, () => link.report({ kind: 'upgrade' })),
    // No orderly stop: it would wait for threads, requests and files, and the failed part may block any of them.
    onFailure: () => process.exit(1),
  });
  const begin = async (stoppedMs?: number): Promise<void> => {
    await service.begin(stoppedMs, () => link.report({ kind: 'ready' }));
    running.service = service;
  };
  const started = birth.waits ? service.refresh() : begin(birth.diedMs);
  link.onOrder((order) => obey(order, service, link, begin, finish), started);
  await started;
  if (birth.waits) link.report({ kind: 'prepared' });
  await Promise.race([finished, link.failed]);
  await service.stop();
}

async function obey(
  order: Order,
  service: Service,
  link: ParentLink,
  begin: (stoppedMs: number) => Promise<void>,
  finish: () => void,
): Promise<void> {
  switch (order.kind) {
    case 'refresh':
      await service.refresh();
      link.report({ kind: 'refreshed' });
      break;
    case 'begin':
      await begin(order.stoppedMs);
      break;
    case 'close':
      await service.closeApi();
      link.report({ kind: 'closed' });
      break;
    case 'resume':
      await service.reopenApi(order.reason);
      break;
    case 'stop': {
      const stoppedMs = sharedClockMs();
      await service.stopForwarding();
      link.report({ kind: 'stopped', stoppedMs });
      finish();
      break;
    }
  }
}
