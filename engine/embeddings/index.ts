/** The OpenAI API for embeddings without the wire. */

export {
  createEmbeddings,
  type EmbeddingCreateParams,
  type EmbeddingList,
  type Embeddings,
  embeddingRequestSchema,
} from './embeddings.ts';
