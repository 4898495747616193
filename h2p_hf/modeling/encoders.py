"""Two encoders to compare BERT with, a BiLSTM and a CNN over characters, as token classifiers of transformers.

They are registered with the Auto classes. Nothing of this package is imported here, because `save_pretrained` copies this
file beside the weights: where h2p_hf is not installed, such a checkpoint loads with ``trust_remote_code=True``.
"""

import torch
import transformers.initialization as init
from torch import nn
from torch.nn.functional import gelu, pad
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput


class BiLstmConfig(PreTrainedConfig):
    """Shape of a `BiLstmForTokenClassification`; the defaults have as many parameters as a BERT of 4 layers and 256 units.

    Args:
        vocab_size (`int`, *optional*, defaults to 8286): entries of the tokenizer.
        embedding_size (`int`, *optional*, defaults to 256): width of the embeddings.
        hidden_size (`int`, *optional*, defaults to 512): width of what a layer gives, half of it from either direction.
        num_hidden_layers (`int`, *optional*, defaults to 2): layers.
        hidden_dropout_prob (`float`, *optional*, defaults to 0.1): dropout, 0-1, before each layer and the classifier.
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of fresh embeddings and classifier.
        kwargs: of `PreTrainedConfig`.
    """

    model_type = "h2p-bilstm"

    def __init__(
        self,
        vocab_size: int = 8286,
        embedding_size: int = 256,
        hidden_size: int = 512,
        num_hidden_layers: int = 2,
        hidden_dropout_prob: float = 0.1,
        initializer_range: float = 0.02,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.hidden_dropout_prob = hidden_dropout_prob
        self.initializer_range = initializer_range
        super().__init__(**kwargs)


class CnnConfig(PreTrainedConfig):
    """Shape of a `CnnForTokenClassification`; the defaults have as many parameters as a BERT of 4 layers and 256 units.

    Args:
        vocab_size (`int`, *optional*, defaults to 8286): entries of the tokenizer.
        hidden_size (`int`, *optional*, defaults to 256): width of the embeddings and of what a layer gives.
        intermediate_size (`int`, *optional*, defaults to 512): filters of a layer.
        num_hidden_layers (`int`, *optional*, defaults to 6): layers.
        kernel_size (`int`, *optional*, defaults to 3): characters that a filter reads, an odd number.
        dilation_cycle (`int`, *optional*, defaults to 3): the distance between these characters doubles from layer to layer
            and is 1 again after so many layers. The defaults, 1, 2, 4, 1, 2, 4, let each character see 14 on either side.
        hidden_dropout_prob (`float`, *optional*, defaults to 0.1): dropout, 0-1, of embeddings and layers.
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of fresh weights.
        kwargs: of `PreTrainedConfig`.
    """

    model_type = "h2p-cnn"

    def __init__(
        self,
        vocab_size: int = 8286,
        hidden_size: int = 256,
        intermediate_size: int = 512,
        num_hidden_layers: int = 6,
        kernel_size: int = 3,
        dilation_cycle: int = 3,
        hidden_dropout_prob: float = 0.1,
        initializer_range: float = 0.02,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.kernel_size = kernel_size
        self.dilation_cycle = dilation_cycle
        self.hidden_dropout_prob = hidden_dropout_prob
        self.initializer_range = initializer_range
        super().__init__(**kwargs)


class Embeddings(nn.Module):
    """Embed characters: `(batch_size, sequence_length)` becomes `(batch_size, sequence_length, width)`. No positions: the
    layers know what is left and what is right.
    """

    def __init__(self, vocab_size: int, width: int, dropout: float):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.norm(self.word_embeddings(input_ids)))


class BiLstmLayer(nn.Module):
    """One LSTM from left to right and one from right to left, beside each other, and layer norm."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        if hidden_size % 2:
            raise ValueError(f"hidden_size must be even, half for either direction, got {hidden_size}")
        self.rightward = nn.LSTM(input_size, hidden_size // 2, batch_first=True)
        self.leftward = nn.LSTM(input_size, hidden_size // 2, batch_first=True)
        # What an LSTM gives is small at first: without this, learning takes several times the steps.
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, hidden: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Read `(batch_size, sequence_length, input_size)`; `order`, `(batch_size, sequence_length, 1)`, is that of the
        places from the last character to the first.
        """
        leftward, _ = self.leftward(_taken(hidden, order))
        return self.norm(torch.cat([self.rightward(hidden)[0], _taken(leftward, order)], dim=-1))


def _taken(hidden: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    return hidden.gather(1, order.expand(-1, -1, hidden.shape[-1]))


class BiLstmEncoder(nn.Module):
    """Embeddings and stacked `BiLstmLayer`s."""

    def __init__(self, config: BiLstmConfig):
        super().__init__()
        self.embeddings = Embeddings(config.vocab_size, config.embedding_size, config.hidden_dropout_prob)
        sizes = [config.embedding_size, *[config.hidden_size] * config.num_hidden_layers]
        self.layers = nn.ModuleList(map(BiLstmLayer, sizes[:-1], sizes[1:]))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        # Each row is reversed up to its padding, as in g2pM, so that no LSTM reads padding before characters. Packed
        # sequences would do the same, but cannot be exported to ONNX.
        place = torch.arange(input_ids.shape[1], device=input_ids.device)
        mirrored = attention_mask.sum(1, keepdim=True) - 1 - place
        order = torch.where(mirrored < 0, place, mirrored).unsqueeze(-1)
        hidden = self.embeddings(input_ids)
        for layer in self.layers:
            hidden = self.dropout(layer(hidden, order))
        return hidden


class CnnLayer(nn.Module):
    """A dilated convolution, GELU, a projection back to the width of the input, a residual connection and layer norm."""

    def __init__(self, config: CnnConfig, dilation: int):
        super().__init__()
        if config.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, as many characters on either side, got {config.kernel_size}")
        self.dilation, self.reach = dilation, dilation * (config.kernel_size // 2)
        # A convolution as one matrix product over the characters it reads: ONNX Runtime's int8 convolution is slower than
        # its float32 one (8,500 against 21,000 tokens/s), its int8 matrix product is twice as fast (53,000 against 24,000).
        self.convolution = nn.Linear(config.kernel_size * config.hidden_size, config.intermediate_size)
        self.projection = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Read `(batch_size, sequence_length, hidden_size)`; `mask`, `(batch_size, sequence_length, 1)`, is 0 for padding."""
        length = hidden.shape[1]
        padded = pad(hidden * mask, (0, 0, self.reach, self.reach))
        starts = range(0, 2 * self.reach + 1, self.dilation)
        window = torch.cat([padded[:, start : start + length] for start in starts], dim=-1)
        return self.norm(hidden + self.dropout(self.projection(gelu(self.convolution(window)))))


class CnnEncoder(nn.Module):
    """Embeddings and stacked `CnnLayer`s."""

    def __init__(self, config: CnnConfig):
        super().__init__()
        if config.dilation_cycle < 1:
            raise ValueError(f"dilation_cycle must be at least 1, got {config.dilation_cycle}")
        self.embeddings = Embeddings(config.vocab_size, config.hidden_size, config.hidden_dropout_prob)
        self.layers = nn.ModuleList(
            CnnLayer(config, 2 ** (number % config.dilation_cycle)) for number in range(config.num_hidden_layers)
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.embeddings(input_ids)
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return hidden


class EncoderForTokenClassification(PreTrainedModel):
    """An encoder and a linear layer over its labels. Padding, on the right, changes nothing of the rest.

    Subclasses name their config, their encoder and, as `base_model_prefix`, the attribute that has it.
    """

    encoder_class: type[nn.Module]

    def __init__(self, config: PreTrainedConfig):
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.LSTM):
            for name, parameter in module.named_parameters():
                if "bias" in name:
                    init.zeros_(parameter)
                else:
                    init.orthogonal_(parameter)
            # A fresh LSTM should remember (Jozefowicz et al. 2015); PyTorch has the forget gate second of four.
            size = module.hidden_size
            init.copy_(module.bias_ih_l0, pad(torch.ones(size), (size, 2 * size)))

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> TokenClassifierOutput:
        """Score the labels of each token.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): tokens.
            attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): 1 for tokens, 0 for
                padding, on the right; by default there is none.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): label ids, -100 for none.
            kwargs: `num_items_in_batch`, what the summed loss is divided by (see `modeling.token_loss`), by default the
                number of labelled tokens. Everything else is left aside, such as the `token_type_ids` of a BERT's tokenizer.

        Returns:
            `TokenClassifierOutput`: `logits` of shape `(batch_size, sequence_length, num_labels)`, and `loss` if there are
            labels.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        hidden = self.base_model(input_ids, attention_mask)
        logits = self.classifier(self.dropout(hidden))
        loss = None if labels is None else self.loss_function(logits, labels, self.config, **kwargs)
        return TokenClassifierOutput(loss=loss, logits=logits)


class BiLstmForTokenClassification(EncoderForTokenClassification):
    """A BiLSTM tagger, as g2pM is (Park & Lee 2020). g2pM has embeddings of 64, one layer of 2 x 32 units and two linear
    layers over 876 readings, which are asked about one polyphone; this one is larger, has layer norm, and scores every
    token.
    """

    config_class = BiLstmConfig
    encoder_class = BiLstmEncoder
    base_model_prefix = "bilstm"
    _no_split_modules = ["BiLstmLayer"]


class CnnForTokenClassification(EncoderForTokenClassification):
    """A CNN tagger: convolutions over a window of tokens (Collobert et al. 2011), dilated in blocks so that few layers see a
    sentence (Strubell et al. 2017, whose blocks share their weights; these do not), with the residual connections and the
    layer norm of a BERT.
    """

    config_class = CnnConfig
    encoder_class = CnnEncoder
    base_model_prefix = "cnn"
    _no_split_modules = ["CnnLayer"]


for _model in (BiLstmForTokenClassification, CnnForTokenClassification):
    _config = _model.config_class
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoModelForTokenClassification.register(_config, _model, exist_ok=True)
    _config.register_for_auto_class()
    _model.register_for_auto_class("AutoModelForTokenClassification")
