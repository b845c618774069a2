/** Schemas of sets. */
import { Type } from 'typebox';
import { listFormats } from '../../interop/rules/address-lists.ts';
import * as schemas from './schemas.ts';

const addresses = Type.Array(Type.String(), {
  description: 'Addresses, blocks and ranges.',
  examples: [['192.0.2.0/24', '198.51.100.10-198.51.100.20']],
});

const setProperties = {
  description: Type.Optional(Type.String()),
  addresses: Type.Optional(addresses),
  except: Type.Optional(
    Type.Array(Type.String(), { description: 'Taken away from all of the set.' }),
  ),
  include: Type.Optional(
    Type.Array(Type.String(), { description: 'Other sets.', examples: [['set:vpn']] }),
  ),
  file: Type.Optional(
    Type.String({ description: 'The list beside it.', examples: ['office.txt'] }),
  ),
};

export const setBody = Type.Object({ name: Type.Optional(schemas.nameSchema), ...setProperties });
export const newSetBody = Type.Object({ name: schemas.nameSchema, ...setProperties });

export const setPatch = Type.Object(
  {
    description: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    add: Type.Optional(addresses),
    remove: Type.Optional(addresses),
  },
  {
    additionalProperties: false,
    description:
      'Addresses to add to the set, or to remove from it and its list; null takes the description away.',
  },
);

const setView = {
  name: schemas.nameSchema,
  description: Type.Optional(Type.String()),
  addresses: Type.Array(Type.String()),
  except: Type.Array(Type.String()),
  include: Type.Array(Type.String()),
  file: Type.Optional(Type.String()),
  listEntries: Type.Optional(
    Type.Integer({ description: 'Addresses, blocks and ranges in the list.' }),
  ),
  addressCount: Type.Integer({ description: 'IPv4 addresses in the set, in all.' }),
  rangeCount: Type.Integer({ description: 'Ranges that these are.' }),
  usedBy: schemas.usedBy,
  revision: schemas.revision,
  changed: Type.Optional(schemas.changeMark),
};

export const addressSet = schemas.component('Set', Type.Object(setView));
export const changedSet = schemas.component(
  'ChangedSet',
  Type.Object({ ...setView, applied: schemas.applied }),
);
export const setList = schemas.component(
  'SetList',
  Type.Object({
    sets: Type.Array(
      Type.Object({
        name: schemas.nameSchema,
        description: Type.Optional(Type.String()),
        addressCount: Type.Integer(),
        rangeCount: Type.Integer(),
        listEntries: Type.Optional(Type.Integer()),
        usedBy: schemas.usedBy,
        revision: schemas.revision,
        changed: Type.Optional(schemas.changeMark),
      }),
    ),
  }),
);

export const importQuery = Type.Object(
  {
    name: Type.Optional(Type.String({ description: 'Of the set; default: as in the file.' })),
    fallback: Type.Optional(
      Type.String({ description: 'The name of a list that names no set; default: imported.' }),
    ),
    format: Type.Optional(Type.Enum(['auto', ...listFormats])),
  },
  { additionalProperties: false },
);

export const importedSets = schemas.component(
  'ImportedSets',
  Type.Object({
    format: Type.Enum([...listFormats]),
    sets: Type.Array(addressSet),
    remarks: Type.Array(Type.Object({ place: Type.String(), message: Type.String() }), {
      description: 'What could not be expressed, or has another meaning here.',
    }),
    applied: schemas.applied,
  }),
);
