"""The network: ConvBERT, and BERT, ELECTRA and ERNIE as its relatives without the convolution."""
