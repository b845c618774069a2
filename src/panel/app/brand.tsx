/** The name, with the wall that it has in the browser's tab. */
import type { ReactNode } from 'react';
import icon from '../icon.svg';

export function Brand(): ReactNode {
  return (
    <span className="brand">
      <img src={icon} alt="" width={28} height={28} />
      tunwall
    </span>
  );
}
