/** The control plane that the command line's tests talk to: the real API on a real directory, with or without live data. */
import type { ControlPlane, Observer } from '../../src/control/api/context.ts';
import { offlineControlPlane } from '../../src/control/api/offline.ts';
import { buildApi } from '../../src/control/api/server.ts';
import type { Listener } from '../../src/control/api/api.ts';
import { createConnections } from '../../src/cli/connection.ts';
import type { Connections } from '../../src/cli/connection.ts';
import type { InProcessApi } from '../../src/cli/transport.ts';
import { FileStore } from '../../src/control/store/files/file-store.ts';

export interface ApiParts {
  readonly listener: Listener;
  readonly observer?: Observer;
  /** What the firewall says of itself, instead of "there is none". */
  readonly controlPlane?: Partial<ControlPlane>;
}

type Api = Awaited<ReturnType<typeof buildApi>>;

export async function apiOn(directory: string, parts: ApiParts): Promise<Api> {
  const onWarning = (message: string): void => {
    throw new Error(message);
  };
  const store = await FileStore.open(directory, { onWarning });
  const offline = offlineControlPlane(store, { version: '1.2.3', configDirectory: directory });
  return buildApi(
    {
      store,
      controlPlane: { ...offline, ...parts.controlPlane },
      ...(parts.observer && { observer: parts.observer }),
      hosts: [],
      onWarning,
    },
    { listener: parts.listener },
  );
}

/** Connections of a machine on which no firewall runs. */
export function offlineConnections(warnings: string[] = []): Connections {
  return createConnections({
    openDirectory: (directory): Promise<InProcessApi> =>
      apiOn(directory, { listener: 'in-process' }),
    actor: 'alice',
    environment: {},
    warn: (message) => warnings.push(message),
    socket: '/nonexistent/tunwall.sock',
  });
}

/** How the command line reaches the API that listens on `socket`. */
export function socketConnections(socket: string): Connections {
  return createConnections({
    openDirectory: () => Promise.reject(new Error('a firewall listens')),
    actor: 'alice',
    environment: {},
    warn: () => undefined,
    socket,
  });
}
