/** An end of a packet or flow: where there is no room for a line, it breaks before the port, and never within a number. */
import type { ReactNode } from 'react';

export interface AddressProps {
  readonly address: string;
  readonly port: number | undefined;
}

export function Address({ address, port }: AddressProps): ReactNode {
  return (
    <span className="mono">
      <span className="nowrap">{address}</span>
      {port !== undefined && (
        <>
          <wbr />
          <span className="nowrap">:{port}</span>
        </>
      )}
    </span>
  );
}
