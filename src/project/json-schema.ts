import { projectShape, type Shape } from './shape.ts'

/** Returns the JSON Schema (2020-12) of rootling.json, which editors read. */
export function projectSchema(): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'https://unpkg.com/rootling/schema/rootling.schema.json',
    title: 'rootling.json',
    ...schemaOf(projectShape),
  }
}

function schemaOf(shape: Shape): Readonly<Record<string, unknown>> {
  const { describe: description } = shape
  switch (shape.type) {
    case 'object':
      return {
        description,
        type: 'object',
        properties: Object.fromEntries(
          Object.entries(shape.members).map(([name, member]) => [name, schemaOf(member)]),
        ),
        required: shape.required,
        additionalProperties: false,
      }
    case 'map':
      return { description, type: 'object', additionalProperties: schemaOf(shape.values) }
    case 'list':
      return {
        description,
        type: 'array',
        items: schemaOf(shape.items),
        minItems: shape.least,
        maxItems: shape.most,
      }
    case 'text':
      return {
        description,
        type: 'string',
        ...(shape.pattern === undefined ? {} : { pattern: shape.pattern }),
      }
    case 'whole':
      return { description, type: 'integer', minimum: shape.least, maximum: shape.most }
    case 'choice':
      return { description, enum: shape.choices }
    case 'either':
      return { description, anyOf: shape.of.map(schemaOf) }
  }
}
