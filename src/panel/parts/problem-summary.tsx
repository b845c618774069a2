/** What is wrong and has no field of its own, above a form. Takes the focus, so that it is read. */
import { Alert, List, Text } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useEffect, useRef } from 'react';
import type { ReactNode } from 'react';
import { asProblem } from '../data/api-problem.ts';
import type { FieldError } from '../data/types.ts';

export interface ProblemSummaryProps {
  readonly error: unknown;
  /** Those of its errors that no field shows; absent: all of them. */
  readonly errors?: readonly FieldError[];
  readonly takesFocus?: boolean;
}

export function ProblemSummary({
  error,
  errors,
  takesFocus = true,
}: ProblemSummaryProps): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const problem = asProblem(error);
  const shown = errors ?? problem.errors;
  useEffect(() => {
    if (takesFocus) box.current?.focus();
  }, [error, takesFocus]);
  return (
    <Alert
      ref={box}
      tabIndex={-1}
      color="red"
      icon={<IconAlertTriangle aria-hidden />}
      title={problem.title}
    >
      {shown.length === 0 ? (
        <Text size="sm">
          {problem.errors.length > 0 ? 'See the fields below.' : problem.message}
        </Text>
      ) : (
        <List size="sm">
          {shown.map(({ path, message, file, line }) => (
            <List.Item key={`${file ?? ''}${path}${message}`}>
              {file !== undefined && `${file}:${line ?? 1}: `}
              {path !== '' && <b>{path}: </b>}
              {message}
            </List.Item>
          ))}
        </List>
      )}
    </Alert>
  );
}
