/** Everything around the pages: theme, data, session. */
import { MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClientProvider } from '@tanstack/react-query';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { createQueryClient } from '../data/queries.ts';
import { Pages } from './pages.tsx';
import { SessionGate } from './session-gate.tsx';
import { Shell } from './shell.tsx';
import { theme, variables } from './theme.ts';

export function App({ nonce }: { readonly nonce: string }): ReactNode {
  const [client] = useState(createQueryClient);
  return (
    <MantineProvider
      theme={theme}
      cssVariablesResolver={variables}
      defaultColorScheme="auto"
      getStyleNonce={() => nonce}
    >
      {/* Not at the bottom, where Save is. */}
      <Notifications position="top-center" />
      <QueryClientProvider client={client}>
        <SessionGate>
          <Shell>
            <Pages />
          </Shell>
        </SessionGate>
      </QueryClientProvider>
    </MantineProvider>
  );
}
