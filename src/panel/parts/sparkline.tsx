/** The last ten minutes of one number, in a cell. What it says is in the text beside it: the drawing is not for screen readers. */
import type { ReactNode } from 'react';

export interface SparklineProps {
  /** Oldest first, ten seconds each; `null`: not measured. Absent: there was nothing. */
  readonly values: readonly (number | null)[] | undefined;
  readonly tone: 'passed' | 'dropped';
}

const height = 24;
/** How many fill the width; fewer stand at the right. */
const length = 60;

/** `x,y` of each, from the bottom up. */
function pointsOf(values: readonly (number | null)[]): string[] {
  const most = Math.max(1, ...values.map((value) => value ?? 0));
  const first = length - values.length;
  return values.map((value, index) => {
    const y = height - 1 - ((value ?? 0) / most) * (height - 2);
    return `${first + index},${y.toFixed(2)}`;
  });
}

export function Sparkline({ values = [], tone }: SparklineProps): ReactNode {
  const shown = values.slice(-length);
  const points = pointsOf(shown);
  return (
    <svg
      className={`sparkline sparkline-${tone}`}
      viewBox={`0 0 ${length - 1} ${height}`}
      preserveAspectRatio="none"
      aria-hidden
    >
      <line x1={0} x2={length - 1} y1={height - 0.5} y2={height - 0.5} className="sparkline-base" />
      {points.length > 1 && (
        <>
          <polygon
            points={`${length - shown.length},${height} ${points.join(' ')} ${length - 1},${height}`}
          />
          <polyline points={points.join(' ')} />
        </>
      )}
    </svg>
  );
}
