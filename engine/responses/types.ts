/** What the Responses API answers: the wire's shapes, with the wire's names. */

export interface ApiResponse {
  readonly id: string;
  readonly object: 'response';
  /** Seconds since 1970. */
  readonly created_at: number;
  readonly model: string;
  /** `incomplete`: a limit was reached. */
  readonly status: 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';
  /** It goes on while nobody waits for it. */
  readonly background: boolean;
  readonly incomplete_details: { readonly reason: 'max_output_tokens' } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly output: readonly ResponseItem[];
  readonly usage: ResponseUsage | null;
  /** What the request said, and how little is kept. */
  readonly [member: string]: unknown;
}

export interface DeletedResponse {
  readonly id: string;
  readonly object: 'response.deleted';
  readonly deleted: true;
}

export type ResponseItem =
  | {
      readonly type: 'reasoning';
      readonly id: string;
      readonly summary: readonly never[];
      readonly content: readonly { readonly type: 'reasoning_text'; readonly text: string }[];
    }
  | {
      readonly type: 'message';
      readonly id: string;
      readonly role: 'assistant';
      readonly status: ItemStatus;
      readonly content: readonly OutputText[];
    }
  | {
      readonly type: 'function_call';
      readonly id: string;
      readonly call_id: string;
      readonly name: string;
      /** JSON text. */
      readonly arguments: string;
      readonly status: ItemStatus;
    };

export type ItemStatus = 'in_progress' | 'completed';

export interface OutputText {
  readonly type: 'output_text';
  readonly text: string;
  readonly annotations: readonly never[];
  readonly logprobs: readonly never[];
}

export interface ResponseUsage {
  readonly input_tokens: number;
  readonly input_tokens_details: { readonly cached_tokens: number };
  readonly output_tokens: number;
  readonly output_tokens_details: { readonly reasoning_tokens: number };
  readonly total_tokens: number;
}

/** An event of a stream, named by its type. */
export interface ResponseEvent {
  readonly type: `response.${string}`;
  readonly sequence_number: number;
  /** The last event has the whole response. */
  readonly response?: ApiResponse;
  readonly [member: string]: unknown;
}
